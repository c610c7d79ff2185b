import type { Choices } from './choices.ts'
import { SimulatedInode } from './simulated-inode.ts'

export type SimulatedNode = SimulatedInode | SimulatedDirectory

/** A change of names: `name` now stands for `node`, or for nothing; a rename also takes the old name away, in one step. */
interface NameChange {
  name: string
  node: SimulatedNode | null
  removedName: string | null
}

/** A directory in two planes, like a file: names as they are, and the changes since the last sync, of which a crash keeps a prefix. */
export class SimulatedDirectory {
  readonly live: Map<string, SimulatedNode>
  #durable: Map<string, SimulatedNode>
  #changes: NameChange[]

  constructor() {
    this.live = new Map()
    this.#durable = new Map()
    this.#changes = []
  }

  get pendingChangeCount(): number {
    return this.#changes.length
  }

  link(name: string, node: SimulatedNode): void {
    this.#change({ name, node, removedName: null })
  }

  unlink(name: string): void {
    this.#change({ name, node: null, removedName: null })
  }

  rename(from: string, to: string): void {
    this.#change({ name: to, node: this.live.get(from)!, removedName: from })
  }

  /** How many changes a sync that begins now will cover. */
  beginSync(): number {
    return this.#changes.length
  }

  endSync(changeCount: number): void {
    for (const change of this.#changes.splice(0, changeCount)) apply(this.#durable, change)
  }

  /** An independent copy, with the changes that are not synced. `forks` holds the copies of files and directories made so far. */
  fork(forks: Map<SimulatedNode, SimulatedNode>): SimulatedDirectory {
    const copy = new SimulatedDirectory()
    const forkOf = (node: SimulatedNode): SimulatedNode => {
      let fork = forks.get(node)
      if (fork === undefined) {
        fork = node instanceof SimulatedInode ? node.fork() : node.fork(forks)
        forks.set(node, fork)
      }
      return fork
    }
    for (const [name, node] of this.live) copy.live.set(name, forkOf(node))
    for (const [name, node] of this.#durable) copy.#durable.set(name, forkOf(node))
    copy.#changes = this.#changes.map((change) => ({
      ...change,
      node: change.node === null ? null : forkOf(change.node),
    }))
    return copy
  }

  /** `looseNames`: see `SimulatedDiskOptions`. */
  crashed(choices: Choices, survivors: Map<SimulatedInode, SimulatedInode>, looseNames = false): SimulatedDirectory {
    const names = new Map(this.#durable)
    const keptCount = this.#changes.length - choices.choose(this.#changes.length + 1)
    for (const change of this.#changes.slice(0, keptCount)) apply(names, change)
    if (looseNames) {
      for (const change of this.#changes.slice(keptCount)) {
        if (isSyncedFile(change) && choices.choose(2) === 1) apply(names, change)
      }
    }
    const survivor = new SimulatedDirectory()
    for (const [name, node] of names) {
      if (node instanceof SimulatedInode) {
        let inode = survivors.get(node)
        if (inode === undefined) {
          inode = node.crashed(choices)
          survivors.set(node, inode)
        }
        survivor.link(name, inode)
      } else {
        survivor.link(name, node.crashed(choices, survivors, looseNames))
      }
    }
    survivor.endSync(survivor.beginSync())
    return survivor
  }

  #change(change: NameChange): void {
    this.#changes.push(change)
    apply(this.live, change)
  }
}

/** A file that was made and then synced itself. */
function isSyncedFile({ node, removedName }: NameChange): boolean {
  return removedName === null && node instanceof SimulatedInode && node.wasSynced
}

function apply(names: Map<string, SimulatedNode>, change: NameChange): void {
  if (change.removedName !== null) names.delete(change.removedName)
  if (change.node === null) names.delete(change.name)
  else names.set(change.name, change.node)
}
