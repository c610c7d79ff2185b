import type { Mutation } from './mutation.ts'

/** Mistakes in the consensus core. */
export const consensusMutations: readonly Mutation[] = []
