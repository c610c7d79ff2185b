import { clusterMutations } from './cluster-mutations.ts'
import { compactionMutations } from './compaction-mutations.ts'
import { consensusMutations } from './consensus-mutations.ts'
import { groupMutations } from './group-mutations.ts'
import type { Mutation } from './mutation.ts'
import { transactionMutations } from './transaction-mutations.ts'

export const mutations: readonly Mutation[] = [
  ...consensusMutations,
  ...clusterMutations,
  ...groupMutations,
  ...transactionMutations,
  ...compactionMutations,
]
