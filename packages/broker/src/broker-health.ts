import type { DirectoryInfo } from '@millrace/storage'
import type { Membership } from './cluster/membership.ts'

/** What `/healthz` looks at. */
export interface HealthSources {
  readonly nodeId: number
  readonly clusterId: string
  readonly isStopping: boolean
  readonly membership: Pick<Membership, 'activeController' | 'isFenced'>
  readonly directories: readonly DirectoryInfo[]
}

/** The answer of `/healthz`: healthy while the broker serves and all its log directories are online. */
export function brokerHealth(sources: HealthSources): { healthy: boolean; body: Record<string, unknown> } {
  const { nodeId, clusterId, isStopping, membership, directories } = sources
  const offline = directories.filter((directory) => !directory.online)
  const healthy = !isStopping && offline.length === 0
  return {
    healthy,
    body: {
      status: healthy ? 'ok' : isStopping ? 'stopping' : 'log directory offline',
      nodeId,
      clusterId,
      activeController: membership.activeController,
      fenced: membership.isFenced,
      offlineDirectories: offline.map((directory) => directory.path),
    },
  }
}
