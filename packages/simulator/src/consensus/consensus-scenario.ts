import { RandomStream } from '../world/random-stream.ts'

/** What goes wrong, and when. `node` -1: whichever node leads by then. */
export type ConsensusFault = { readonly atMs: number } & (
  | {
      readonly kind: 'crash'
      readonly node: number
      readonly downMs: number
      /** At which step of the next round of work; `now`: at once. */
      readonly point: CrashPoint
    }
  | { readonly kind: 'crash many'; readonly nodes: readonly number[]; readonly downMs: number }
  | { readonly kind: 'pause'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'wipe'; readonly node: number; readonly downMs: number }
  | { readonly kind: 'cut'; readonly shape: CutShape; readonly nodes: readonly number[]; readonly forMs: number }
  | { readonly kind: 'flap'; readonly node: number; readonly periodMs: number; readonly forMs: number }
  | { readonly kind: 'slow disk'; readonly node: number; readonly factor: number; readonly forMs: number }
  | { readonly kind: 'failed write'; readonly node: number; readonly downMs: number }
  | { readonly kind: 'clock'; readonly node: number; readonly rate: number; readonly forMs: number }
  | { readonly kind: 'loss'; readonly share: number; readonly forMs: number }
  /** The leader, with so many others as are no quorum, is cut off, its clock is slow, and readers still ask it every `everyMs`. */
  | {
      readonly kind: 'strand'
      readonly companions: number
      readonly rate: number
      readonly forMs: number
      readonly everyMs: number
    }
)

/** Steps of one round of a node's work between which its process may end. */
export const CRASH_POINTS = [
  'now',
  'before early messages',
  'before write',
  'during write',
  'after write',
  'amid messages',
  'before apply',
  'before advance',
] as const
export type CrashPoint = (typeof CRASH_POINTS)[number]

/** `isolate`: the nodes from all others, not from each other. `inbound`, `outbound`: one way only. `bridge`: halves, the first node sees both. */
export const CUT_SHAPES = ['isolate', 'inbound', 'outbound', 'bridge', 'ring'] as const
export type CutShape = (typeof CUT_SHAPES)[number]

/** What clients and operators ask for. `node` -1: whoever leads. */
export type ConsensusOperation = { readonly atMs: number; readonly node: number } & (
  | { readonly kind: 'propose'; readonly sizeBytes: number; readonly count: number }
  | { readonly kind: 'read' }
  | { readonly kind: 'transfer'; readonly to: number }
  | { readonly kind: 'resign' }
  | { readonly kind: 'add voter'; readonly voter: number }
  | { readonly kind: 'remove voter'; readonly voter: number }
  | { readonly kind: 'move voter'; readonly voter: number }
)

/** What holds for a whole run. Rates are shares from 0 to 1, times virtual milliseconds. */
export interface ConsensusOptions {
  readonly nodeCount: number
  /** The first so many nodes vote at the start. */
  readonly voterCount: number
  readonly tickMs: number
  readonly electionTicks: number
  readonly heartbeatTicks: number
  readonly maxAppendBytes: number
  readonly maxInFlightBytes: number
  readonly maxSnapshotChunkBytes: number
  readonly maxUncommittedBytes: number
  readonly maxCommittedBytes: number
  readonly loss: number
  readonly duplication: number
  readonly reordering: number
  readonly meanDelayMs: number
  readonly writeMs: number
  /** Of clocks, at most this much faster or slower. */
  readonly drift: number
  /** Entries after which a snapshot is saved, and how many stay behind it. */
  readonly snapshotEntries: number
  readonly keepEntries: number
  /** Bytes of a snapshot beside the state itself: makes it take several chunks. */
  readonly snapshotPadBytes: number
  /** Messages go through their encoding. */
  readonly isEncoded: boolean
  /** Peers of a process that ends are told of its closed connections. */
  readonly earlySigns: boolean
  /** Share of the lost messages of which the sender is told. */
  readonly toldLosses: number
}

/** All that one run is made of: faults and operations as lists, so that a failure can be shrunk by leaving some of them out. */
export interface ConsensusScenario {
  readonly seed: number
  readonly options: ConsensusOptions
  readonly faults: readonly ConsensusFault[]
  readonly operations: readonly ConsensusOperation[]
  /** Faults may strike until then. */
  readonly untilMs: number
}

/** Draws a scenario: a random subset of faults and features at random rates (swarm testing), about every fourth without any fault. */
export function consensusScenario(seed: number): ConsensusScenario {
  const options = drawOptions(new RandomStream(seed, 'options'))
  const untilMs = durationFor(options)
  const operations = drawOperations(new RandomStream(seed, 'workload'), options, untilMs)
  const faults = drawFaults(new RandomStream(seed, 'faults'), options, untilMs)
  const strands = faults.length === 0 ? [] : drawStrands(new RandomStream(seed, 'strands'), options, untilMs)
  return { seed, options, faults: [...faults, ...strands].sort(byTime), operations, untilMs }
}

function drawOptions(random: RandomStream): ConsensusOptions {
  const isQuiet = random.chance(0.2)
  const voterCount = random.pick([1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 7])
  const nodeCount = Math.min(8, voterCount + random.pick([0, 0, 0, 1, 1, 2]))
  const isBounded = random.chance(0.3)
  const some = (share: number, most: number): number =>
    !isQuiet && random.chance(share) ? random.real(0, 1) ** 2 * most : 0
  return {
    nodeCount,
    voterCount,
    tickMs: random.pick([20, 50, 50]),
    electionTicks: random.pick([5, 8, 10]),
    heartbeatTicks: random.pick([1, 1, 2]),
    maxAppendBytes: random.pick(isBounded ? [64, 300] : [2_000, 64_000]),
    maxInFlightBytes: random.pick(isBounded ? [200, 800] : [8_000, 256_000]),
    maxSnapshotChunkBytes: random.pick([64, 500, 8_000]),
    maxUncommittedBytes: random.pick(isBounded ? [300, 2_000] : [16_000, 1_000_000]),
    maxCommittedBytes: random.pick(isBounded ? [64, 500] : [4_000, 256_000]),
    loss: some(0.5, 0.3),
    duplication: some(0.4, 0.2),
    reordering: some(0.5, 0.4),
    meanDelayMs: random.pick([0.3, 1, 5, 20]),
    writeMs: random.pick([0, 0.2, 2, 10]),
    drift: some(0.4, 0.4),
    snapshotEntries: random.pick([8, 30, 100, 1_000]),
    keepEntries: random.pick([0, 3, 20]),
    snapshotPadBytes: random.pick([0, 200, 3_000]),
    isEncoded: random.chance(0.25),
    earlySigns: random.chance(0.6),
    toldLosses: random.pick([0, 0, 0.5]),
  }
}

/** So long that it comes to some 5,000 events: ticks of all nodes, and heartbeats with their answers. */
function durationFor({ nodeCount, tickMs, heartbeatTicks }: ConsensusOptions): number {
  const perTick = nodeCount + (2 * (nodeCount - 1)) / heartbeatTicks
  return Math.min(30_000, (3_300 / (perTick + 2)) * tickMs)
}

function drawOperations(random: RandomStream, options: ConsensusOptions, untilMs: number): ConsensusOperation[] {
  const { nodeCount } = options
  const hasChanges = random.chance(0.5)
  const hasTransfers = random.chance(0.4)
  const hasReads = random.chance(0.6)
  const hasLarge = random.chance(0.3)
  const count = random.integer(150, 450)
  const operations: ConsensusOperation[] = []
  const node = (): number => (random.chance(0.8) ? -1 : random.integer(0, nodeCount))
  for (let slot = 0; slot < count; slot++) {
    const atMs = random.real(0, untilMs)
    if (hasReads && random.chance(0.2)) operations.push({ atMs, node: node(), kind: 'read' })
    else if (hasTransfers && random.chance(0.04)) {
      operations.push({ atMs, node: -1, kind: 'transfer', to: random.integer(0, nodeCount + 1) })
    } else if (hasTransfers && random.chance(0.01)) operations.push({ atMs, node: -1, kind: 'resign' })
    else if (hasChanges && random.chance(0.08)) {
      const kind = random.pick(['add voter', 'add voter', 'remove voter', 'remove voter', 'move voter'] as const)
      operations.push({ atMs, node: -1, kind, voter: random.integer(0, nodeCount) })
    } else {
      const sizeBytes = random.integer(0, hasLarge && random.chance(0.2) ? 3_000 : 60)
      operations.push({ atMs, node: node(), kind: 'propose', sizeBytes, count: random.pick([1, 1, 1, 3, 12]) })
    }
  }
  return operations.sort(byTime)
}

const FAULT_KINDS = [
  'crash',
  'crash',
  'crash many',
  'pause',
  'wipe',
  'cut',
  'cut',
  'flap',
  'slow disk',
  'failed write',
  'clock',
  'loss',
] as const

function drawFaults(random: RandomStream, options: ConsensusOptions, untilMs: number): ConsensusFault[] {
  if (random.chance(0.2)) return []
  const kinds = FAULT_KINDS.filter(() => random.chance(0.5))
  if (kinds.length === 0) return []
  const electionMs = options.electionTicks * options.tickMs
  const count = random.integer(3, 25)
  const faults: ConsensusFault[] = []
  let wipeCount = 0
  // A quiet stretch at the end of the third quarter: what only shows in peace gets its time, and so does what peace leaves behind.
  const time = (): number => {
    const share = random.unit()
    return untilMs * (share < 0.75 ? share : share * 0.6 + 0.4)
  }
  for (let slot = 0; slot < count; slot++) {
    const kind = random.pick(kinds)
    if (kind === 'wipe' && ++wipeCount > 2) continue
    faults.push(drawFault(random, kind, options.nodeCount, electionMs, time()))
  }
  return faults.sort(byTime)
}

/** Of a stream of their own: seeds from before there were any still draw what they drew. */
function drawStrands(random: RandomStream, options: ConsensusOptions, untilMs: number): ConsensusFault[] {
  if (options.voterCount < 3 || !random.chance(0.25)) return []
  const electionMs = options.electionTicks * options.tickMs
  return Array.from({ length: random.integer(1, 4) }, () => ({
    atMs: random.real(0.1, 0.9) * untilMs,
    kind: 'strand',
    companions: random.integer(0, (options.voterCount - 1) >> 1),
    rate: random.pick([0.2, 0.5, 1]),
    forMs: electionMs * random.real(2, 6),
    everyMs: electionMs / random.pick([2, 5]),
  }))
}

function drawFault(
  random: RandomStream,
  kind: Exclude<ConsensusFault['kind'], 'strand'>,
  nodeCount: number,
  electionMs: number,
  atMs: number,
): ConsensusFault {
  const node = random.chance(0.5) ? -1 : random.integer(0, nodeCount)
  const forMs = random.exponential(2 * electionMs) + 20
  const downMs = random.pick([0, 5, electionMs / 2, electionMs * 3])
  const some = (): number[] =>
    random
      .shuffled(Array.from({ length: nodeCount }, (_, id) => id))
      .slice(0, random.integer(1, Math.max(2, nodeCount)))
  switch (kind) {
    case 'crash':
      return { atMs, kind, node, downMs, point: random.pick(CRASH_POINTS) }
    case 'crash many':
      return {
        atMs,
        kind,
        nodes: random.chance(0.3) ? Array.from({ length: nodeCount }, (_, id) => id) : some(),
        downMs,
      }
    case 'pause':
      return { atMs, kind, node, forMs }
    case 'wipe':
      return { atMs, kind, node: random.integer(0, nodeCount), downMs }
    case 'cut':
      return { atMs, kind, shape: random.pick(CUT_SHAPES), nodes: random.chance(0.4) ? [node] : some(), forMs }
    case 'flap':
      return { atMs, kind, node, periodMs: random.real(10, electionMs), forMs: 2 * forMs }
    case 'slow disk':
      return { atMs, kind, node, factor: random.pick([10, 100]), forMs }
    case 'failed write':
      return { atMs, kind, node, downMs }
    case 'clock':
      return { atMs, kind, node, rate: random.pick([0.2, 0.5, 2, 5]), forMs }
    case 'loss':
      return { atMs, kind, share: random.real(0.2, 1), forMs }
  }
}

function byTime(one: { readonly atMs: number }, other: { readonly atMs: number }): number {
  return one.atMs - other.atMs
}
