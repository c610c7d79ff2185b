import type { ClusterFault } from './cluster-scenario.ts'
import { DIRECTORIES, type SimulatedNode } from './simulated-node.ts'
import type { StruckCluster } from './struck-cluster.ts'

/** How a file begins that tells whose a log is. */
const SOUND = 'version: 0'
/** In its first word, so that no broker takes the log for any one's. */
const DAMAGED_BYTE = 3
/** An operator who finds that there is nothing to be put back, or a disk away, looks again after this, and so often at most. */
const LOOK_AGAIN_MS = 500
const LOOKS = 60

/**
 * Logs of one partition are lost to several of its nodes, as far as brokers can tell, and an operator puts them back, but for those in whose
 * place others have been begun. Nothing may be lost by it, also where no node had its log for a while. False: they are not up, or a disk of
 * theirs is away, or all logs are being moved, during which the names of files say which of them counts.
 */
export function loseLogs(run: StruckCluster, fault: Extract<ClusterFault, { kind: 'logs lost' }>): boolean {
  const nodes = fault.nodes.map(({ node }) => run.nodes[node]!)
  if (!nodes.every(({ isUp, failingDirectory }) => isUp && failingDirectory === null)) return false
  const moving = nodes.flatMap((node) => node.movesOnDisk())
  const all = new Set(nodes.flatMap((node) => [...identitiesOf(node).keys()]))
  const names = [...all].filter((name) => !moving.some((move) => move.includes(`${name}.`) || move.endsWith(name)))
  const name = names.sort()[fault.choice % names.length]
  if (name === undefined) return false
  const { world } = run
  let lostCount = 0
  for (const { node: id, downMs, lostMs } of fault.nodes) {
    const node = run.nodes[id]!
    node.crash(false)
    const path = identitiesOf(node).get(name)
    world.fault(path === undefined ? 'kill' : 'log lost', id, path)
    if (path !== undefined) {
      lostCount++
      node.disk.corrupt(path, DAMAGED_BYTE, 1)
      run.onDiskDamaged(node)
      const lost = node.disk.peek(path)
      world.schedule(lostMs, 'log put back', id, () => putBack(run, node, path, lost))
    }
    run.restartLater(node, downMs)
  }
  if (lostCount === run.nodes.length) world.mark('all logs of a partition lost')
  return true
}

/** `looksLeft`: a loss of power may take another log away that was begun in its place, and bring the lost one back. */
function putBack(run: StruckCluster, node: SimulatedNode, path: string, lost: Buffer, looksLeft = LOOKS): void {
  const { world } = run
  const isAway = node.failingDirectory !== null
  if (isAway || node.disk.stat(path) === null || !node.disk.peek(path).equals(lost)) {
    if (!isAway && looksLeft === 0) return
    const left = isAway ? looksLeft : looksLeft - 1
    world.schedule(LOOK_AGAIN_MS, 'log put back', node.id, () => putBack(run, node, path, lost, left))
    return
  }
  if (node.isUp) {
    node.crash(false)
    run.restartLater(node, 1)
  }
  node.disk.corrupt(path, DAMAGED_BYTE, 1)
  world.mark('lost log put back')
}

/** Paths of the files that tell whose the logs of the node are, by the names of these; but for logs that are lost already. */
function identitiesOf({ disk }: SimulatedNode): Map<string, string> {
  const paths = new Map<string, string>()
  for (const directory of DIRECTORIES) {
    if (disk.stat(directory) === null) continue
    for (const name of disk.listDirectory(directory)) {
      const path = `${directory}/${name}/partition.metadata`
      if (/-[0-9]+$/.test(name) && disk.stat(path) !== null && disk.peek(path).toString().startsWith(SOUND))
        paths.set(name, path)
    }
  }
  return paths
}
