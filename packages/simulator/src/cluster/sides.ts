import { compactionKind } from './compaction/compaction-workload.ts'
import type { SideName } from './side-names.ts'
import type { SideKind } from './side-workload.ts'

/** What makes each side workload. A seed that draws one that is not here goes without it. */
export const sides: ReadonlyMap<SideName, SideKind> = new Map<SideName, SideKind>([['compaction', compactionKind]])
