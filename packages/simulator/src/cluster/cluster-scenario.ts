import { RandomStream } from '../world/random-stream.ts'
import { CLEAN_STEPS, type CleanStep } from './compaction/clean-steps.ts'
import { SIDE_CHANCE, SIDE_NAMES, type SideName } from './side-names.ts'

/** What goes wrong in a cluster, and when. `node` -1: the leader of the workload's first partition; -2: the active controller. */
export type ClusterFault = { readonly atMs: number } & (
  | { readonly kind: 'kill'; readonly node: number; readonly downMs: number; readonly losesPower: boolean }
  | {
      readonly kind: 'kill many'
      readonly nodes: readonly number[]
      readonly downMs: number
      readonly losesPower: boolean
    }
  /** When its disk syncs next: before that takes effect, or right after it did. */
  | {
      readonly kind: 'kill at sync'
      readonly node: number
      readonly downMs: number
      readonly losesPower: boolean
      readonly isAfter: boolean
    }
  | { readonly kind: 'pause'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'cut'; readonly shape: ClusterCut; readonly node: number; readonly forMs: number }
  | { readonly kind: 'slow disk'; readonly node: number; readonly diskMs: number; readonly forMs: number }
  | { readonly kind: 'slow network'; readonly delayMs: number; readonly forMs: number }
  /** What its broker writes fails for want of space. */
  | { readonly kind: 'full disk'; readonly node: number; readonly forMs: number }
  /** Its wall clock is set, forwards or back; by less than what brokers bear of records' timestamps (an hour). */
  | { readonly kind: 'clock jump'; readonly node: number; readonly aheadMs: number }
  /** Killed, and back with an empty disk; only while the others are in sync, since more would be more than replication can bear. */
  | { readonly kind: 'wipe'; readonly node: number; readonly downMs: number }
  /** Killed, and a bit of one of its files turns over meanwhile; under the same condition. */
  | { readonly kind: 'rot'; readonly node: number; readonly downMs: number }
  /**
   * Killed, and a bit turns over of what tells whose one of its logs is; under the same condition. The others are killed with it, so that
   * it may be the first that comes back, and eligible.
   */
  | {
      readonly kind: 'rot of identity'
      readonly node: number
      readonly downMs: number
      readonly othersDownMs: number
    }
  /**
   * Killed, and what tells whose logs those of one partition are is damaged meanwhile, until an operator puts it back: also at the last nodes
   * that have them. `choice` picks the partition.
   */
  | {
      readonly kind: 'logs lost'
      readonly nodes: readonly { readonly node: number; readonly downMs: number; readonly lostMs: number }[]
      readonly choice: number
    }
  /** When its disk does something of a move between log directories next: at once, or a little later. */
  | {
      readonly kind: 'kill amid move'
      readonly node: number
      readonly step: MoveStep
      readonly afterMs: number
      readonly downMs: number
      readonly losesPower: boolean
    }
  /** When its disk has done so many operations of a step of compaction: before the next one, also in the middle of a turn. */
  | {
      readonly kind: 'kill amid compaction'
      readonly node: number
      readonly step: CleanStep
      readonly afterCount: number
      readonly downMs: number
      readonly losesPower: boolean
    }
  /** One of its log directories (by its number) fails, until its disk is mended, or replaced by an empty one as long as the others are in sync. */
  | {
      readonly kind: 'directory fails'
      readonly node: number
      readonly directory: number
      readonly forMs: number
      readonly downMs: number
      readonly isReplaced: boolean
    }
  /** The same with a bit of stored records. In one scenario always of the same node: what is damaged may not be read for long. */
  | { readonly kind: 'rot of records'; readonly node: number; readonly downMs: number }
)

/** A future log gets a file; a note of a move is written or taken back; a future log gets the name of the log whose place it takes. */
export const MOVE_STEPS = ['copy', 'note', 'exchange'] as const
export type MoveStep = (typeof MOVE_STEPS)[number]

/** `all`: from everybody; `brokers`: only from the other nodes; `inbound`, `outbound`: one way only. */
export const CLUSTER_CUTS = ['all', 'brokers', 'inbound', 'outbound'] as const
export type ClusterCut = (typeof CLUSTER_CUTS)[number]

export interface ClusterOptions {
  readonly nodeCount: number
  readonly partitionCount: number
  readonly producerCount: number
  readonly consumerCount: number
  /** Milliseconds between records of one producer, on average. */
  readonly sendEveryMs: number
  /** A producer gives a record up after so long: shorter than some outages, so that nobody knows what became of it. */
  readonly deliveryTimeoutMs: number
  /** Milliseconds between two polls of a consumer, on average. */
  readonly pollEveryMs: number
  /** Milliseconds after which a consumer leaves and another comes, on average; 0: all stay. */
  readonly memberLifeMs: number
  readonly meanDelayMs: number
  readonly diskMs: number
  readonly writeMs: number
  /** Share of syncs after which the system writes pages back by itself. */
  readonly writeBackShare: number
  /** How long the topic's segments grow, 0: for the whole run. No start looks at those that were closed before. */
  readonly segmentMs: number
  /** Milliseconds between moves of replicas, within nodes and between them, on average; 0: none are moved. */
  readonly moveEveryMs: number
  /** Bytes a second that moves within a node may copy on average; 0: as fast as they can. */
  readonly moveBytesPerSecond: number
  /** What clients do beside the main workload. */
  readonly sides: readonly SideName[]
}

export interface ClusterScenario {
  readonly seed: number
  readonly options: ClusterOptions
  readonly faults: readonly ClusterFault[]
  /** When the load ends; faults end a little earlier. */
  readonly untilMs: number
  /** Of what a seed must come to at least: 1, or less for one that was shortened. */
  readonly share: number
}

const LOAD_MS = 60_000
/** What a seed must come to at least (`docs/simulator.md`), if there are faults at all; the load goes on until it has. */
export const LEAST = { virtualMs: 60_000, operations: 2_000, faults: 10 } as const

export function clusterScenario(seed: number): ClusterScenario {
  const random = new RandomStream(seed, 'options')
  const options: ClusterOptions = {
    nodeCount: 3,
    partitionCount: random.pick([1, 2, 3]),
    producerCount: 2,
    consumerCount: 2,
    sendEveryMs: random.pick([60, 80, 100]),
    deliveryTimeoutMs: random.pick([2_000, 5_000, 20_000]),
    pollEveryMs: random.pick([0, 150, 150, 300]),
    memberLifeMs: random.pick([0, 0, 15_000]),
    meanDelayMs: random.pick([0.3, 1, 5]),
    diskMs: random.pick([0.2, 1, 8]),
    writeMs: random.pick([0.5, 4]),
    writeBackShare: random.pick([0, 0.05]),
    segmentMs: 0,
    moveEveryMs: 0,
    moveBytesPerSecond: 0,
    sides: [],
  }
  const others = drawFaults(new RandomStream(seed, 'faults'), options)
  // A run without faults stays one.
  const rotStream = new RandomStream(seed, 'rot of records')
  const rot = others.length === 0 ? [] : drawRotOfRecords(rotStream, options)
  const identities =
    others.length === 0 ? [] : drawRotOfIdentities(new RandomStream(seed, 'identities that rot'), options)
  // While records rot, a log with damage may be the only one that is not lost: others would be begun anew, and lack what it cannot give.
  const lost =
    others.length === 0 || rot.length > 0 ? [] : drawLostLogs(new RandomStream(seed, 'logs that are put back'), options)
  const moveStream = new RandomStream(seed, 'options of moves')
  const moveEveryMs = moveStream.pick([0, 1_000, 3_000])
  const moveBytesPerSecond = moveStream.pick([0, 5_000])
  const moves = others.length === 0 ? [] : drawMoveFaults(moveStream, options, moveEveryMs > 0)
  const sideStream = new RandomStream(seed, 'sides')
  const drawn = SIDE_NAMES.filter(() => sideStream.chance(SIDE_CHANCE))
  const hasCompaction = others.length > 0 && drawn.includes('compaction')
  const cleans = hasCompaction ? drawCleanFaults(new RandomStream(seed, 'faults of compaction'), options) : []
  const all = [...others, ...rot, ...identities, ...lost, ...moves, ...cleans]
  const faults = all.sort((one, other) => one.atMs - other.atMs)
  const segmentMs = rot.length === 0 ? 0 : rotStream.pick([0, 4_000])
  const drawnOptions = { ...options, segmentMs, moveEveryMs, moveBytesPerSecond, sides: drawn }
  return { seed, options: drawnOptions, faults, untilMs: LOAD_MS, share: 1 }
}

const KINDS = [
  'kill',
  'kill at sync',
  'kill many',
  'pause',
  'cut',
  'cut',
  'slow disk',
  'slow network',
  'full disk',
  'clock jump',
  'wipe',
  'rot',
] as const

function drawFaults(random: RandomStream, { nodeCount }: ClusterOptions): ClusterFault[] {
  const kinds = KINDS.filter(() => random.chance(0.6))
  if (kinds.length === 0) return []
  const count = random.integer(LEAST.faults + 2, 20)
  const faults: ClusterFault[] = []
  for (let slot = 0; slot < count; slot++) {
    const atMs = random.real(6_000, LOAD_MS - 3_000)
    const node = random.pick([-1, -1, -2, random.integer(0, nodeCount)])
    const forMs = random.pick([50, 400, 2_500, 6_000])
    const downMs = random.pick([1, 200, 3_000])
    const losesPower = random.chance(0.6)
    const kind = random.pick(kinds)
    switch (kind) {
      case 'kill':
        faults.push({ atMs, kind, node, downMs, losesPower })
        break
      case 'kill at sync':
        faults.push({ atMs, kind, node, downMs, losesPower, isAfter: random.chance(0.5) })
        break
      case 'kill many': {
        const nodes = Array.from({ length: nodeCount }, (_, id) => id).filter(() => random.chance(0.7))
        faults.push({ atMs, kind, nodes, downMs, losesPower })
        break
      }
      case 'pause':
        faults.push({ atMs, kind, node, forMs })
        break
      case 'cut':
        faults.push({ atMs, kind, shape: random.pick(CLUSTER_CUTS), node, forMs })
        break
      case 'slow disk':
        faults.push({ atMs, kind, node, diskMs: random.pick([20, 200]), forMs })
        break
      case 'slow network':
        faults.push({ atMs, kind, delayMs: random.pick([20, 100]), forMs })
        break
      case 'full disk':
        faults.push({ atMs, kind, node, forMs })
        break
      case 'clock jump':
        faults.push({ atMs, kind, node, aheadMs: random.pick([-1_800_000, -5_000, 0, 60_000, 1_800_000]) })
        break
      case 'wipe':
      case 'rot':
        faults.push({ atMs, kind, node: random.integer(0, nodeCount), downMs })
    }
  }
  return faults
}

function drawRotOfRecords(random: RandomStream, { nodeCount }: ClusterOptions): ClusterFault[] {
  if (random.chance(0.5)) return []
  const node = random.integer(0, nodeCount)
  return Array.from({ length: random.integer(1, 4) }, () => ({
    atMs: random.real(10_000, LOAD_MS - 3_000),
    kind: 'rot of records',
    node,
    downMs: random.pick([1, 200, 3_000]),
  }))
}

function drawRotOfIdentities(random: RandomStream, { nodeCount }: ClusterOptions): ClusterFault[] {
  if (random.chance(0.7)) return []
  return Array.from({ length: random.integer(1, 4) }, () => ({
    atMs: random.real(10_000, LOAD_MS - 5_000),
    kind: 'rot of identity',
    node: random.integer(0, nodeCount),
    downMs: random.pick([1, 200]),
    othersDownMs: random.pick([1, 200, 3_000]),
  }))
}

/** Of two nodes or of all; some are down for longer than their logs are lost. */
function drawLostLogs(random: RandomStream, { nodeCount }: ClusterOptions): ClusterFault[] {
  if (random.chance(0.6)) return []
  return Array.from({ length: random.integer(1, 4) }, () => {
    const spared = random.pick([-1, random.integer(0, nodeCount)])
    const ids = Array.from({ length: nodeCount }, (_, id) => id).filter((id) => id !== spared)
    const nodes = ids.map((node) => {
      return { node, downMs: random.pick([1, 200, 2_000]), lostMs: random.pick([1_000, 3_000, 5_000]) }
    })
    const atMs = random.real(8_000, LOAD_MS - 8_000)
    return { atMs, kind: 'logs lost', nodes, choice: random.integer(0, 1_000) }
  })
}

/** Failures of directories, and deaths amid moves if there are any. */
function drawMoveFaults(random: RandomStream, { nodeCount }: ClusterOptions, hasMoves: boolean): ClusterFault[] {
  const draw = (most: number, one: () => ClusterFault): ClusterFault[] =>
    Array.from({ length: random.integer(0, most + 1) }, one)
  const atMs = (): number => random.real(6_000, LOAD_MS - 5_000)
  const failures = draw(2, () => ({
    atMs: atMs(),
    kind: 'directory fails',
    node: random.integer(0, nodeCount),
    directory: random.integer(0, 2),
    forMs: random.pick([200, 3_000]),
    downMs: random.pick([1, 1_000]),
    isReplaced: random.chance(0.5),
  }))
  if (!hasMoves) return failures
  const deaths = draw(4, () => ({
    atMs: atMs(),
    kind: 'kill amid move',
    node: random.integer(0, nodeCount),
    step: random.pick(MOVE_STEPS),
    afterMs: random.pick([0, 0, 2, 10, 50]),
    downMs: random.pick([1, 200, 3_000]),
    losesPower: random.chance(0.7),
  }))
  return [...failures, ...deaths]
}

/** Deaths at operations of compaction. */
function drawCleanFaults(random: RandomStream, { nodeCount }: ClusterOptions): ClusterFault[] {
  return Array.from({ length: random.integer(2, 9) }, () => ({
    atMs: random.real(8_000, LOAD_MS - 5_000),
    kind: 'kill amid compaction',
    node: random.integer(0, nodeCount),
    step: random.pick(CLEAN_STEPS),
    afterCount: random.integer(0, 8),
    downMs: random.pick([1, 200, 3_000]),
    losesPower: random.chance(0.7),
  }))
}
