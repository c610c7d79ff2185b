import { clusterMutations } from './cluster-mutations.ts'
import { compactionMutations } from './compaction-mutations.ts'
import { consensusMutations } from './consensus-mutations.ts'
import type { Mutation } from './mutation.ts'

export const mutations: readonly Mutation[] = [...consensusMutations, ...clusterMutations, ...compactionMutations]
