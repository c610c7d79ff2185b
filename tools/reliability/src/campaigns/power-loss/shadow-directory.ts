import type { Fate } from './fate.ts'
import { ShadowFile } from './shadow-file.ts'

export type ShadowNode = ShadowFile | ShadowDirectory

/** `name` stands for `node` from now on, or for nothing; a rename also takes the old name away, in one step. */
interface NameChange {
  readonly name: string
  readonly node: ShadowNode | null
  readonly removedName: string | null
}

/** A directory as its user sees it, and the changes of names since it was last synced, of which a power cut keeps the first so many. */
export class ShadowDirectory {
  readonly names: Map<string, ShadowNode>
  readonly #durable: Map<string, ShadowNode>
  #changes: NameChange[]
  /** Changes that syncs have covered. */
  #syncedCount: number
  readonly #pending: Map<number, number>

  constructor(names: ReadonlyMap<string, ShadowNode> = new Map()) {
    this.names = new Map(names)
    this.#durable = new Map(names)
    this.#changes = []
    this.#syncedCount = 0
    this.#pending = new Map()
  }

  get unsyncedNameCount(): number {
    return this.#changes.length
  }

  link(name: string, node: ShadowNode): void {
    this.#change({ name, node, removedName: null })
  }

  unlink(name: string): void {
    this.#change({ name, node: null, removedName: null })
  }

  /** Pre: `from` is there. */
  rename(from: string, to: string): void {
    this.#change({ name: to, node: this.names.get(from) ?? null, removedName: from })
  }

  beginSync(token: number): void {
    this.#pending.set(token, this.#syncedCount + this.#changes.length)
  }

  endSync(token: number, isKept: boolean): void {
    const coveredCount = (this.#pending.get(token) ?? 0) - this.#syncedCount
    this.#pending.delete(token)
    if (!isKept || coveredCount <= 0) return
    for (const change of this.#changes.splice(0, coveredCount)) apply(this.#durable, change)
    this.#syncedCount += coveredCount
  }

  /** The directory that a power cut leaves, with all below it. */
  afterPowerCut(fate: Fate, survivors: Map<ShadowFile, ShadowFile>): ShadowDirectory {
    const names = new Map(this.#durable)
    for (const change of this.#changes.slice(0, fate.choosePrefix(this.#changes.length))) apply(names, change)
    const after = new Map<string, ShadowNode>()
    for (const [name, node] of names) {
      if (node instanceof ShadowFile) {
        const survivor = survivors.get(node) ?? node.afterPowerCut(fate)
        survivors.set(node, survivor)
        after.set(name, survivor)
      } else {
        after.set(name, node.afterPowerCut(fate, survivors))
      }
    }
    return new ShadowDirectory(after)
  }

  #change(change: NameChange): void {
    this.#changes.push(change)
    apply(this.names, change)
  }
}

function apply(names: Map<string, ShadowNode>, { name, node, removedName }: NameChange): void {
  if (removedName !== null) names.delete(removedName)
  if (node === null) names.delete(name)
  else names.set(name, node)
}
