import { CLIENTS_MAX, FIRST_CLIENT } from './client-host.ts'
import type { ClusterCut, ClusterFault, MoveStep } from './cluster-scenario.ts'
import { cleanStepOf } from './compaction/clean-steps.ts'
import { loseLogs } from './lost-logs.ts'
import { DIRECTORIES, type SimulatedNode } from './simulated-node.ts'
import type { StruckCluster } from './struck-cluster.ts'

/** Lets a fault happen, and end after its time. False: it cannot happen now, to a process that is down, say. */
export function strikeCluster(run: StruckCluster, fault: ClusterFault): boolean {
  const { world, network } = run
  if (fault.kind === 'kill many') {
    const nodes = fault.nodes.map((id) => run.nodes[id]!).filter(({ isUp }) => isUp)
    for (const node of nodes) kill(run, node, fault.downMs, fault.losesPower)
    if (nodes.length === run.nodes.length) world.mark('all nodes die')
    return nodes.length > 0
  }
  if (fault.kind === 'logs lost') return loseLogs(run, fault)
  if (fault.kind === 'slow network') {
    world.fault('slow network', -1)
    network.rates = { ...network.rates, meanDelayMs: fault.delayMs }
    world.schedule(fault.forMs, 'network well', -1, () => {
      network.rates = { ...network.rates, meanDelayMs: run.scenario.options.meanDelayMs }
    })
    return true
  }
  const node = fault.node === -1 ? run.dataLeader : fault.node === -2 ? run.activeController : run.nodes[fault.node]!
  if (node === null || node.loop === null) return false
  const roles = [
    ...(node === run.dataLeader ? ['a leader'] : []),
    ...(node === run.activeController ? ['the active controller'] : []),
  ]
  if (!strikeNode(run, node, fault)) return false
  for (const role of roles) world.mark(`${fault.kind} of ${role}`)
  return true
}

type NodeFault = Exclude<ClusterFault, { kind: 'kill many' | 'logs lost' | 'slow network' }>

function strikeNode(run: StruckCluster, node: SimulatedNode, fault: NodeFault): boolean {
  const { world } = run
  switch (fault.kind) {
    case 'kill':
      kill(run, node, fault.downMs, fault.losesPower)
      return true
    case 'kill at sync': {
      const { lifeCount } = node
      node.onSync = (isAfter) => {
        if (isAfter !== fault.isAfter || run.isPeaceful) return
        node.onSync = null
        world.schedule(0, 'kill at sync', node.id, () => {
          if (node.lifeCount === lifeCount) kill(run, node, fault.downMs, fault.losesPower)
        })
      }
      return true
    }
    case 'kill amid move':
      if (node.onDiskChange !== null) return false
      // In this life of the process or a later one: moves go on in all of them.
      node.onDiskChange = (operation, path) => {
        if (run.isPeaceful || stepOf(operation, path) !== fault.step) return
        node.onDiskChange = null
        const { lifeCount } = node
        world.schedule(fault.afterMs, 'kill amid move', node.id, () => {
          if (node.lifeCount !== lifeCount || !node.isUp) return
          world.mark(`death at the ${fault.step} of a move`)
          kill(run, node, fault.downMs, fault.losesPower)
        })
      }
      return true
    case 'kill amid compaction':
      killAmidCompaction(run, node, fault)
      return true
    case 'directory fails': {
      if (node.failingDirectory !== null) return false
      world.fault('directory fails', node.id)
      const directory = DIRECTORIES[fault.directory]!
      node.failDirectory(directory)
      world.schedule(fault.forMs, 'directory mended', node.id, () => {
        if (node.failingDirectory !== directory) return
        const id = node.idOfDirectory(directory)
        const isReplaced = fault.isReplaced && id !== null && run.isSafeWithout(node)
        node.mendDirectory(isReplaced)
        if (isReplaced) {
          world.mark('log directory replaced')
          run.onDiskLost(node, id)
        }
        run.restartLater(node, fault.downMs)
      })
      return true
    }
    case 'pause': {
      const { loop } = node
      if (loop === null || loop.isPaused) return false
      world.fault('pause', node.id)
      loop.pause()
      world.schedule(fault.forMs, 'pause ends', node.id, () => loop.resume())
      return true
    }
    case 'cut':
      cut(run, fault.shape, node.id, fault.forMs)
      return true
    case 'slow disk':
      world.fault('slow disk', node.id)
      node.diskMs = fault.diskMs
      world.schedule(fault.forMs, 'disk well', node.id, () => {
        node.diskMs = run.scenario.options.diskMs
      })
      return true
    case 'full disk':
      world.fault('full disk', node.id)
      node.setDiskFull(true)
      world.schedule(fault.forMs, 'disk has room', node.id, () => {
        node.setDiskFull(false)
      })
      return true
    case 'clock jump':
      world.fault('clock jump', node.id)
      node.loop?.setWall(fault.aheadMs)
      return true
    case 'wipe':
      if (!run.isSafeWithout(node)) return false
      world.fault('wipe', node.id)
      node.crash(false)
      node.wipe()
      run.onDiskLost(node)
      run.restartLater(node, fault.downMs)
      return true
    case 'rot': {
      if (!run.isSafeWithout(node)) return false
      node.crash(false)
      world.fault('rot', node.id, node.rot() ?? '')
      run.onDiskDamaged(node)
      run.restartLater(node, fault.downMs)
      return true
    }
    case 'rot of identity': {
      if (!run.isSafeWithout(node)) return false
      node.crash(false)
      const path = node.rotIdentity()
      world.fault(path === null ? 'kill' : 'rot', node.id, path ?? '')
      if (path !== null) world.mark('rot of what tells whose a log is')
      if (path !== null) run.onDiskDamaged(node)
      for (const other of run.nodes) if (other !== node) kill(run, other, fault.othersDownMs, false)
      run.restartLater(node, fault.downMs)
      return true
    }
    case 'rot of records': {
      if (!run.isSafeWithout(node)) return false
      node.crash(false)
      const place = node.rotRecords()
      world.fault(place === null ? 'kill' : 'rot of records', node.id, place ?? '')
      if (place !== null) run.onRecordsRotten(node)
      run.restartLater(node, fault.downMs)
      return true
    }
  }
}

/** In this life of the process or a later one. */
function killAmidCompaction(
  run: StruckCluster,
  node: SimulatedNode,
  { step, afterCount, downMs, losesPower }: Extract<NodeFault, { kind: 'kill amid compaction' }>,
): void {
  const { world } = run
  let leftCount = afterCount
  const watch = (operation: string, path: string): void => {
    if (run.isPeaceful) node.diskWatchers.delete(watch)
    if (run.isPeaceful || !node.isUp || cleanStepOf(operation, path) !== step || leftCount-- > 0) return
    node.diskWatchers.delete(watch)
    node.holdForCrash()
    world.schedule(0, 'kill amid compaction', node.id, () => {
      world.mark(`death at the ${step} of a compaction`)
      kill(run, node, downMs, losesPower)
    })
  }
  node.diskWatchers.add(watch)
}

/** Of which step of a move the operation is. */
function stepOf(operation: string, path: string): MoveStep | null {
  if (operation === 'create') return /-future\//.test(path) ? 'copy' : null
  if (operation !== 'rename') return null
  if (path.endsWith('-future')) return 'exchange'
  return path.endsWith('/moved-replicas.tmp') ? 'note' : null
}

function kill(run: StruckCluster, node: SimulatedNode, downMs: number, losesPower: boolean): void {
  if (!node.isUp) return
  run.world.fault(losesPower ? 'power loss' : 'kill', node.id)
  node.crash(losesPower)
  run.restartLater(node, downMs)
}

/** Clients of one host that there may be. */
const CLIENT_COUNT = 40

function cut(run: StruckCluster, shape: ClusterCut, id: number, forMs: number): void {
  const { world, network, nodes } = run
  world.fault(`cut ${shape}`, id)
  const others = nodes.filter((node) => node.id !== id).map((node) => node.id)
  const hosts = Array.from({ length: 1 + run.scenario.options.sides.length }, (_, host) => CLIENTS_MAX * host)
  const clients = hosts.flatMap((host) => Array.from({ length: CLIENT_COUNT }, (_, slot) => FIRST_CLIENT + host + slot))
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
