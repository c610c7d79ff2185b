import type { RandomStream } from '../../world/random-stream.ts'
import type { World } from '../../world/world.ts'
import type { ClientHost } from '../client-host.ts'
import type { ClusterOptions } from '../cluster-scenario.ts'
import type { LeaderView } from '../leader-view.ts'
import type { ExactlyOnceGhost } from './exactly-once-ghost.ts'
import type { IdentityGhost } from './identity-ghost.ts'
import type { TransactionGhost } from './transaction-ghost.ts'

/** What all clients of transactions share. */
export interface TransactionCast {
  readonly world: World
  readonly host: ClientHost
  readonly options: ClusterOptions
  readonly random: RandomStream
  readonly transactions: TransactionGhost
  readonly exactlyOnce: ExactlyOnceGhost
  readonly identities: IdentityGhost
  readonly isOver: () => boolean
  readonly leaders: LeaderView
}
