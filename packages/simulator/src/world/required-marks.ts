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
  'all logs of a partition lost',
  'all nodes die',
  'commit ok',
  'cut of a leader',
  'damaged replica fetched again',
  'death at the copy of a move',
  'death at the exchange of a move',
  'death at the note of a move',
  'end of a process amid a move',
  'given up and not stored',
  'given up and stored',
  'kill of a leader',
  'kill of the active controller',
  'log directory failed',
  'log directory replaced',
  'log of a replica cut',
  'look ok',
  'look while two take themselves for the coordinator',
  'lost log counts again',
  'lost log put back',
  'partitions assigned',
  'pause of a leader',
  'poll ok',
  'reassignment called off',
  'replica added by a reassignment',
  'replica moved to another directory',
  'replica removed by a reassignment',
  'send ok',
]

/** Each of these parts takes part in one seed of four. */
const GROUP_MARKS = [
  'dead letter of a shared record',
  'group commit ok',
  'group look ok',
  'group member dies',
  'group member falls silent',
  'group member subscribes to a pattern',
  'group partitions lost',
  'group partitions revoked',
  'late commit of a former epoch refused',
  'membership told while two coordinate, or nobody',
  'partition added to a topic of a consumer group',
  'share member dies',
  'share member falls silent',
  'share member is stuck in the end',
  'share member works for longer than the lock lasts',
  'shared record delivered again',
  'shared record given up at the limit',
  'shared record: accept taken',
  'shared record: reject taken',
  'shared record: release taken',
]

const TRANSACTION_MARKS = [
  'abort of a transaction ok',
  'change of a leader ok',
  'commit of a transaction ok',
  'commit of unknown outcome had no effect',
  'commit of unknown outcome took effect',
  'commit over a change of coordinator',
  'end of a shift: end',
  'end of a shift: stop',
  'look at offsets ok',
  'look at transactional ids ok',
  'producer fenced by another',
  'settlement committed',
  'transaction ran out of time',
  'transaction version raised under load',
  'transactions begin with version 0',
  'transactions begin with version 1',
  'transactions begin with version 2',
]

const COMPACTION_MARKS = [
  'committed offsets compacted',
  'compacted offsets loaded',
  'compacted topic read',
  'death at the announcement of a compaction',
  'death at the checkpoint of a compaction',
  'death at the copy of a compaction',
  'death at the exchange of a compaction',
  'death at the removal of a compaction',
  'log compacted by its leader',
  'marker of a transaction removed',
  'thread of compaction died',
  'tombstone removed',
]

/** What a batch of at least {@link MARK_SEEDS} seeds must have come to at least once: else it proves less than it seems to. */
export function requiredMarks(layer: Layer): readonly string[] {
  if (layer === 'consensus') return CONSENSUS_MARKS
  return [...CLUSTER_MARKS, ...GROUP_MARKS, ...TRANSACTION_MARKS, ...COMPACTION_MARKS]
}
