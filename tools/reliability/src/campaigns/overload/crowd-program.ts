import { SeededRandom } from '@millrace/base'
import { runLoad } from '../../load/load-process.ts'
import { BusyCrowd } from './busy-crowd.ts'
import type { CrowdPlan, CrowdReport } from './crowd-plan.ts'
import { HostileCrowd } from './hostile-crowd.ts'
import { IdleCrowd } from './idle-crowd.ts'

async function gather(plan: CrowdPlan): Promise<() => CrowdReport> {
  const random = new SeededRandom(plan.seed)
  const idle = new IdleCrowd(plan.port)
  await idle.gather(plan.idle)
  const hostile = new HostileCrowd(plan.port, random.fork('hostile'))
  await hostile.startSlowReaders(plan.slow, plan.bulkTopic)
  await hostile.startHalfSent(plan.halfSent)
  const busy = new BusyCrowd(
    {
      port: plan.port,
      topic: plan.busyTopic,
      partitionCount: plan.busyPartitions,
      clientCount: plan.busy,
      requestsPerSecond: plan.busyRequestsPerSecond,
    },
    random.fork('busy'),
  )
  await busy.start()
  hostile.startGarbage(plan.garbagePerSecond)
  hostile.startVisits(plan.visitsPerSecond)
  return () => ({
    idleOpen: idle.openCount,
    busyRequests: busy.requestCount,
    busyErrors: busy.errors,
    garbageSent: hostile.garbageSent,
    visits: hostile.visits,
    slowBegun: hostile.slowBegun,
    halfSentBegun: hostile.halfSentBegun,
  })
}

runLoad(gather)
