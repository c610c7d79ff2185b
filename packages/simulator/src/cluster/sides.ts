import { compactionKind } from './compaction/compaction-workload.ts'
import { consumerGroups } from './consumer-groups/consumer-groups.ts'
import { shareGroups } from './share-groups/share-groups.ts'
import type { SideName } from './side-names.ts'
import type { SideKind } from './side-workload.ts'
import { transactionsSide } from './transactions/transactions-side.ts'

/** What makes each side workload. */
export const sides: Readonly<Record<SideName, SideKind>> = {
  transactions: transactionsSide,
  'consumer groups': consumerGroups,
  'share groups': shareGroups,
  compaction: compactionKind,
}
