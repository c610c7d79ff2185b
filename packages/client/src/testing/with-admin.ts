import { Admin } from '../admin/admin.ts'
import type { FakeCluster } from './fake-cluster.ts'

/** Has an admin client of the cluster do something, in virtual time, and closes it whatever came of it. */
export async function withAdmin<T>(cluster: FakeCluster, run: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin({ ...cluster.clientOptions, defaultApiTimeoutMs: 5000 })
  try {
    return await cluster.world.run(run(admin))
  } finally {
    await admin.close()
  }
}
