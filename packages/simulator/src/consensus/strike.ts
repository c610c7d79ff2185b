import type { Uuid } from '@millrace/base'
import type { Message, VoterSet } from '@millrace/consensus'
import type { World } from '../world/world.ts'
import { configurationsOf, hasQuorum } from './configurations.ts'
import type { ConsensusFault, CutShape } from './consensus-scenario.ts'
import type { MessageNetwork } from './message-network.ts'
import type { Replica } from './replica.ts'

/** What faults need of the run that they strike. */
export interface StruckRun {
  readonly world: World
  readonly replicas: readonly Replica[]
  readonly network: MessageNetwork<Message>
  readonly leader: Replica | null
  readonly bootstrapVoters: VoterSet
  readonly isPeaceful: boolean
  newDirectory(): Uuid
  read(replica: Replica): void
  restartLater(replica: Replica, afterMs: number): void
}

/** Lets a fault happen, and end after its time. */
export function strike(run: StruckRun, fault: ConsensusFault): void {
  switch (fault.kind) {
    case 'crash many':
      for (const node of fault.nodes) crash(run, run.replicas[node]!, fault.downMs)
      if (fault.nodes.length === run.replicas.length) run.world.mark('all nodes crash')
      return
    case 'cut':
      cut(run, fault.shape, fault.nodes, fault.forMs)
      return
    case 'loss':
      run.world.fault('loss', -1, String(fault.share))
      run.network.loseMore(fault.share)
      run.world.schedule(fault.forMs, 'loss ends', -1, () => run.network.loseMore(0))
      return
    case 'strand':
      strand(run, fault)
      return
    default: {
      const replica = fault.node < 0 ? run.leader : run.replicas[fault.node]!
      if (replica !== null) strikeNode(run, replica, fault)
    }
  }
}

type NodeFault = Exclude<ConsensusFault, { kind: 'crash many' | 'cut' | 'loss' | 'strand' }>

function strikeNode(run: StruckRun, replica: Replica, fault: NodeFault): void {
  const { world } = run
  switch (fault.kind) {
    case 'crash':
      if (fault.point === 'now') {
        crash(run, replica, fault.downMs)
        return
      }
      replica.crashPoint = fault.point
      world.fault(`crash ${fault.point}`, replica.id)
      restartWhenDown(run, replica, fault.downMs)
      return
    case 'failed write':
      world.fault('failed write', replica.id)
      replica.isWriteDoomed = true
      restartWhenDown(run, replica, fault.downMs)
      return
    case 'wipe':
      wipe(run, replica, fault.downMs)
      return
    case 'pause': {
      if (!replica.isUp || replica.loop.isPaused) return
      world.fault('pause', replica.id, `${fault.forMs.toFixed(0)} ms`)
      const { loop } = replica
      loop.pause()
      world.schedule(fault.forMs, 'pause ends', replica.id, () => loop.resume())
      return
    }
    case 'flap':
      flap(run, replica, fault.periodMs, world.nowMs + fault.forMs)
      return
    case 'slow disk':
      world.fault('slow disk', replica.id)
      replica.diskFactor = fault.factor
      world.schedule(fault.forMs, 'slow disk ends', replica.id, () => {
        replica.diskFactor = 1
      })
      return
    case 'clock':
      world.fault('clock', replica.id, String(fault.rate))
      replica.setClockRate(fault.rate)
      world.schedule(fault.forMs, 'clock well', replica.id, () => replica.setClockRate(1))
  }
}

function crash(run: StruckRun, replica: Replica, downMs: number): void {
  if (!replica.isUp) return
  run.world.fault('crash', replica.id)
  replica.crash()
  run.restartLater(replica, downMs)
}

/** The fault ends the process some time from now: it is looked after now and then. */
function restartWhenDown(run: StruckRun, replica: Replica, downMs: number): void {
  const { life } = replica
  const look = (): void => {
    if (run.isPeaceful || replica.life !== life) return
    if (replica.isUp) run.world.schedule(20, 'look', -1, look)
    else run.restartLater(replica, downMs)
  }
  look()
}

/** Only as long as every set of voters keeps a quorum of disks: more would be the loss of data that no protocol can prevent. */
function wipe(run: StruckRun, replica: Replica, downMs: number): void {
  const whole = new Set<string>(run.replicas.filter((other) => other !== replica).map(({ key }) => key.directoryId))
  if (!configurationsOf(run).every((voters) => hasQuorum(voters, whole))) return
  run.world.fault('wipe', replica.id)
  if (replica.isUp) replica.crash()
  replica.wipe(run.newDirectory())
  run.restartLater(replica, downMs)
}

function flap(run: StruckRun, replica: Replica, periodMs: number, untilMs: number): void {
  const { world, replicas, network } = run
  if (world.nowMs >= untilMs || run.isPeaceful) return
  world.fault('flap', replica.id)
  const links = linksOf('isolate', [replica.id], replicas.length)
  for (const [from, to] of links) network.cut(from, to)
  world.schedule(periodMs / 2, 'flap', replica.id, () => {
    for (const [from, to] of links) network.heal(from, to)
    world.schedule(periodMs / 2, 'flap', replica.id, () => flap(run, replica, periodMs, untilMs))
  })
}

function cut(run: StruckRun, shape: CutShape, nodes: readonly number[], forMs: number): void {
  const { world, network, replicas } = run
  const chosen = nodes.map((node) => (node < 0 ? (run.leader?.id ?? 0) : node))
  world.fault(`cut ${shape}`, -1, chosen.join(' '))
  const links = linksOf(shape, chosen, replicas.length)
  for (const [from, to] of links) network.cut(from, to)
  world.schedule(forMs, 'cut ends', -1, () => {
    if (run.isPeaceful) return
    for (const [from, to] of links) network.heal(from, to)
  })
}

/** What a leader answers that does not know yet that others lead: the reads of C17 are about nothing else. */
function strand(run: StruckRun, fault: Extract<ConsensusFault, { kind: 'strand' }>): void {
  const { world, replicas, leader } = run
  if (leader === null) return
  const voters = leader.core?.status.voters ?? []
  const companions = voters.filter(({ id }) => id !== leader.id).slice(0, fault.companions)
  const { life } = leader
  world.fault('strand', leader.id)
  cut(run, 'isolate', [leader.id, ...companions.map(({ id }) => id)], fault.forMs)
  leader.setClockRate(fault.rate)
  world.schedule(fault.forMs, 'clock well', leader.id, () => leader.setClockRate(1))
  const untilMs = world.nowMs + fault.forMs
  const ask = (): void => {
    if (run.isPeaceful || world.nowMs >= untilMs || leader.life !== life) return
    if (leader.core?.status.role === 'leader' && run.leader !== leader) world.mark('read at a deposed leader')
    run.read(leader)
    // Whoever leads the others takes something meanwhile.
    if (run.leader !== leader) run.leader?.propose(Buffer.from('meanwhile'))
    world.schedule(fault.everyMs, 'read', leader.id, ask)
  }
  ask()
  if (replicas.length > 2 * (companions.length + 1)) world.mark('leader cut off from a quorum')
}

function linksOf(shape: CutShape, chosen: readonly number[], nodeCount: number): [number, number][] {
  const links: [number, number][] = []
  for (let from = 0; from < nodeCount; from++) {
    for (let to = 0; to < nodeCount; to++) {
      if (from !== to && isCut(shape, chosen, from, to, nodeCount)) links.push([from, to])
    }
  }
  return links
}

function isCut(shape: CutShape, chosen: readonly number[], from: number, to: number, nodeCount: number): boolean {
  const isFromChosen = chosen.includes(from)
  const isToChosen = chosen.includes(to)
  switch (shape) {
    case 'isolate':
      return isFromChosen !== isToChosen
    case 'inbound':
      return !isFromChosen && isToChosen
    case 'outbound':
      return isFromChosen && !isToChosen
    case 'bridge':
      return isFromChosen !== isToChosen && from !== chosen[0] && to !== chosen[0]
    case 'ring': {
      // Each node sees its neighbours only, so that every one has another majority, or none.
      const distance = Math.abs(from - to)
      return Math.min(distance, nodeCount - distance) > nodeCount >> 2
    }
  }
}
