import { consumerGroups } from './consumer-groups/consumer-groups.ts'
import { shareGroups } from './share-groups/share-groups.ts'
import type { SideName } from './side-names.ts'
import type { SideKind } from './side-workload.ts'
import { transactionsSide } from './transactions/transactions-side.ts'

/** What makes each side workload. A seed that draws one that is not here goes without it. */
export const sides: ReadonlyMap<SideName, SideKind> = new Map<SideName, SideKind>([
  ['transactions', transactionsSide],
  ['consumer groups', consumerGroups],
  ['share groups', shareGroups],
])
