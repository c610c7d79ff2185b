import type { Layer } from '../run-result.ts'

/** A seed that once failed: with what it found, so that it does so again if the mistake comes back. */
export interface KeptSeed {
  readonly layer: Layer
  readonly seed: number
  readonly reason: string
}

export const keptSeeds: readonly KeptSeed[] = [
  {
    layer: 'consensus',
    seed: 100,
    reason: 'a voter whose own removal was not committed held the longest log and did not campaign: no leader for ever',
  },
  { layer: 'consensus', seed: 139, reason: 'the same with one voter left' },
  { layer: 'consensus', seed: 183, reason: 'the same with three sets of voters in three logs' },
  {
    layer: 'consensus',
    seed: 1619,
    reason: 'a voter that missed its removal asked only voters that had been removed too, and never met the leader',
  },
  {
    layer: 'cluster',
    seed: 60,
    reason: 'a follower that had to cut its log while its disk was full took the whole directory offline for good',
  },
  {
    layer: 'cluster',
    seed: 84,
    reason:
      'a static member that came back with a list of topics kept its pattern, and was assigned what it never read',
  },
  {
    layer: 'cluster',
    seed: 116,
    reason:
      'a leader that was replaced and did not know it passed for the leader of share groups once its successor was down',
  },
]
