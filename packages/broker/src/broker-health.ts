import type { DirectoryInfo } from '@millrace/storage'
import type { Membership } from './cluster/membership.ts'

/** What `/healthz` looks at. */
export interface HealthSources {
  readonly nodeId: number
  readonly clusterId: string
  /** The start is over. */
  readonly isReady: boolean
  readonly isStopping: boolean
  readonly membership: Pick<Membership, 'activeController' | 'controllerUnknownMs' | 'isFenced' | 'waitsFor'>
  readonly directories: readonly DirectoryInfo[]
}

/** An election takes less than a second; after this long the broker has lost its quorum, or the quorum its majority. */
export const CONTROLLER_LOST_MS = 5_000

/**
 * The answer of `/healthz`: healthy while the broker serves and all its log directories are online; one that starts says what it waits for.
 * The status also tells of a controller that is long gone, but that leaves the broker healthy: it still serves what it leads, and to restart
 * it would help nobody.
 */
export function brokerHealth(sources: HealthSources): { healthy: boolean; body: Record<string, unknown> } {
  const { nodeId, clusterId, isReady, isStopping, membership, directories } = sources
  const offline = directories.filter((directory) => !directory.online)
  const healthy = isReady && !isStopping && offline.length === 0
  return {
    healthy,
    body: {
      status: statusOf(sources, offline.length),
      ...(isReady || isStopping ? {} : { waitsFor: membership.waitsFor }),
      nodeId,
      clusterId,
      activeController: membership.activeController,
      fenced: membership.isFenced,
      offlineDirectories: offline.map((directory) => directory.path),
    },
  }
}

function statusOf({ isReady, isStopping, membership }: HealthSources, offlineCount: number): string {
  if (isStopping) return 'stopping'
  if (!isReady) return 'starting'
  if (offlineCount > 0) return 'log directory offline'
  return membership.controllerUnknownMs >= CONTROLLER_LOST_MS ? 'no active controller' : 'ok'
}
