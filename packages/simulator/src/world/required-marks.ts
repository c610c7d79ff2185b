import type { Layer } from '../run-result.ts'

/** Seeds of a batch from which on all marks must be hit. */
export const MARK_SEEDS: Readonly<Record<Layer, number>> = { consensus: 1_000, cluster: 100 }

const CONSENSUS_MARKS = [
  'all nodes crash',
  'change of voters proposed',
  'change of voters: CHANGE_IN_PROGRESS',
  'change of voters: NO_OWN_TERM_COMMIT',
  'commit of an earlier term with an own entry',
  'crash during a change of voters',
  'crash during write',
  'crash amid messages',
  'election',
  'leader outside of the voters',
  'liveness',
  'liveness without some',
  'read answered',
  'read at a deposed leader',
  'read refused',
  'snapshot installed',
  'snapshot saved',
  'too much uncommitted',
  'transfer asked',
  'truncation',
  'truncation of a change of voters',
  'truncation of several terms',
  'two candidates in one term',
  'write of a dead process durable',
  'write of a dead process lost',
]

const CLUSTER_MARKS = [
  'all nodes die',
  'commit ok',
  'committed offsets compacted',
  'compacted offsets loaded',
  'compacted topic read',
  'cut of a leader',
  'damaged replica fetched again',
  'death at the announcement of a compaction',
  'death at the checkpoint of a compaction',
  'death at the copy of a compaction',
  'death at the copy of a move',
  'death at the exchange of a compaction',
  'death at the exchange of a move',
  'death at the note of a move',
  'death at the removal of a compaction',
  'end of a process amid a move',
  'given up and not stored',
  'given up and stored',
  'kill of a leader',
  'kill of the active controller',
  'log compacted by its leader',
  'log directory failed',
  'log directory replaced',
  'log of a replica cut',
  'look ok',
  'look while two take themselves for the coordinator',
  'marker of a transaction removed',
  'partitions assigned',
  'pause of a leader',
  'poll ok',
  'reassignment called off',
  'replica added by a reassignment',
  'replica moved to another directory',
  'replica removed by a reassignment',
  'send ok',
  'thread of compaction died',
  'tombstone removed',
]

/** What a batch of at least {@link MARK_SEEDS} seeds must have come to at least once: else it proves less than it seems to. */
export function requiredMarks(layer: Layer): readonly string[] {
  return layer === 'consensus' ? CONSENSUS_MARKS : CLUSTER_MARKS
}
