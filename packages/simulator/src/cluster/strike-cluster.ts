import type { StreamNetwork } from '../network/stream-network.ts'
import type { World } from '../world/world.ts'
import type { ClusterCut, ClusterFault, ClusterOptions } from './cluster-scenario.ts'
import type { SimulatedNode } from './simulated-node.ts'

/** What faults need of the cluster that they strike. */
export interface StruckCluster {
  readonly world: World
  readonly network: StreamNetwork
  readonly nodes: readonly SimulatedNode[]
  readonly scenario: { readonly options: ClusterOptions }
  readonly dataLeader: SimulatedNode | null
  readonly activeController: SimulatedNode | null
  readonly isPeaceful: boolean
  restartLater(node: SimulatedNode, afterMs: number): void
}

/** Lets a fault happen, and end after its time. */
export function strikeCluster(run: StruckCluster, fault: ClusterFault): void {
  const { world, network } = run
  if (fault.kind === 'kill many') {
    for (const id of fault.nodes) kill(run, run.nodes[id]!, fault.downMs, fault.losesPower)
    if (fault.nodes.length === run.nodes.length) world.mark('all nodes die')
    return
  }
  if (fault.kind === 'slow network') {
    world.fault('slow network', -1)
    network.rates = { ...network.rates, meanDelayMs: fault.delayMs }
    world.schedule(fault.forMs, 'network well', -1, () => {
      network.rates = { ...network.rates, meanDelayMs: run.scenario.options.meanDelayMs }
    })
    return
  }
  const node = fault.node === -1 ? run.dataLeader : fault.node === -2 ? run.activeController : run.nodes[fault.node]!
  if (node === null) return
  if (node === run.dataLeader) world.mark(`${fault.kind} of a leader`)
  if (node === run.activeController) world.mark(`${fault.kind} of the active controller`)
  switch (fault.kind) {
    case 'kill':
      kill(run, node, fault.downMs, fault.losesPower)
      return
    case 'kill at sync': {
      const { lifeCount } = node
      node.onSync = (isAfter) => {
        if (isAfter !== fault.isAfter || run.isPeaceful) return
        node.onSync = null
        world.schedule(0, 'kill at sync', node.id, () => {
          if (node.lifeCount === lifeCount) kill(run, node, fault.downMs, fault.losesPower)
        })
      }
      return
    }
    case 'pause': {
      const { loop } = node
      if (loop === null || loop.isPaused) return
      world.fault('pause', node.id)
      loop.pause()
      world.schedule(fault.forMs, 'pause ends', node.id, () => loop.resume())
      return
    }
    case 'cut':
      cut(run, fault.shape, node.id, fault.forMs)
      return
    case 'slow disk':
      world.fault('slow disk', node.id)
      node.diskMs = fault.diskMs
      world.schedule(fault.forMs, 'disk well', node.id, () => {
        node.diskMs = run.scenario.options.diskMs
      })
  }
}

function kill(run: StruckCluster, node: SimulatedNode, downMs: number, losesPower: boolean): void {
  if (!node.isUp) return
  run.world.fault(losesPower ? 'power loss' : 'kill', node.id)
  node.crash(losesPower)
  run.restartLater(node, downMs)
}

/** Clients that there may be. */
const FIRST_CLIENT = 100
const CLIENT_COUNT = 12

function cut(run: StruckCluster, shape: ClusterCut, id: number, forMs: number): void {
  const { world, network, nodes } = run
  world.fault(`cut ${shape}`, id)
  const others = nodes.filter((node) => node.id !== id).map((node) => node.id)
  const clients = Array.from({ length: CLIENT_COUNT }, (_, slot) => FIRST_CLIENT + slot)
  const far = shape === 'all' ? [...others, ...clients] : others
  const links: [number, number][] = []
  for (const other of far) {
    if (shape !== 'outbound') links.push([other, id])
    if (shape !== 'inbound') links.push([id, other])
  }
  for (const [from, to] of links) network.cut(from, to)
  world.schedule(forMs, 'cut ends', -1, () => {
    if (run.isPeaceful) return
    for (const [from, to] of links) network.heal(from, to)
  })
}
