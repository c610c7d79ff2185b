import { atLeast, bool, int, long, short, upToNodes } from '../definition.ts'

/** Transactions and idempotent producers. Facts: `configs.md`, "Broker and controller". */
export const transactionDefinitions = {
  'transaction.state.log.num.partitions': int(
    50,
    'none',
    'Partitions of the topic that keeps the state of transactions; fixed once it exists.',
    atLeast(1),
  ),
  'transaction.state.log.replication.factor': short(
    upToNodes(3),
    'none',
    'Replicas of the topic that keeps the state of transactions.',
    atLeast(1),
  ),
  'transaction.state.log.min.isr': int(
    upToNodes(2),
    'none',
    'In-sync replicas that the topic with the state of transactions needs for a write.',
    atLeast(1),
  ),
  'transaction.state.log.segment.bytes': int(
    104_857_600,
    'none',
    'Segment size of the topic that keeps the state of transactions.',
    atLeast(1),
  ),
  'transaction.state.log.load.buffer.size': int(
    5_242_880,
    'none',
    'Bytes read at once when the state of transactions is loaded.',
    atLeast(1),
  ),
  'transaction.max.timeout.ms': int(900_000, 'none', 'Longest transaction that a producer may ask for.', atLeast(1)),
  'transactional.id.expiration.ms': int(
    604_800_000,
    'none',
    'How long the state of an unused transactional id is kept.',
    atLeast(1),
  ),
  'transaction.coordinator.max.ids': int(
    1_000_000,
    'none',
    'Most transactional ids that a node remembers; above it new ones are refused until others have expired.',
    atLeast(1),
  ),
  'transaction.coordinator.max.bytes': long(
    0,
    'none',
    'Most memory for transactional ids and the partitions of their transactions; 0: an eighth of what there is for budgets.',
    atLeast(0),
  ),
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': int(
    10_000,
    'none',
    'Period of the look for transactions that have run out of time.',
    atLeast(1),
  ),
  'transaction.remove.expired.transaction.cleanup.interval.ms': int(
    3_600_000,
    'none',
    'Period of the look for transactional ids that have expired.',
    atLeast(1),
  ),
  'transaction.partition.verification.enable': bool(
    true,
    'cluster',
    'Whether a partition checks with the coordinator that a transaction is open before it takes its records.',
  ),
  'transaction.two.phase.commit.enable': bool(
    false,
    'none',
    'Whether producers may leave the decision over a transaction to an outside coordinator.',
  ),
  'add.partitions.to.txn.retry.backoff.ms': int(
    20,
    'none',
    'Longest pause before a partition that is added to a transaction on the server side is tried again, and longest wait of a producer that adds it itself.',
    atLeast(1),
  ),
  'add.partitions.to.txn.retry.backoff.max.ms': int(100, 'none', 'Longest such pause in all.', atLeast(0)),
  'producer.id.expiration.ms': int(
    86_400_000,
    'cluster',
    'How long a partition remembers an idle producer.',
    atLeast(1),
  ),
  'producer.id.max.count': int(
    1_000_000,
    'none',
    'Most producers with an id that partitions remember, each counted once per partition; above it new ones are refused.',
    atLeast(1),
  ),
} as const
