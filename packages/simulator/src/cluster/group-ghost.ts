import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'

/** A commit of one partition's offset, in virtual ms: it took effect at some moment between, or never if nobody knows how it ended. */
interface Commit {
  readonly offset: number
  readonly beganMs: number
  /** Infinity: under way, or its end is not known. */
  ackedMs: number
}

/** What a group's members were told: who owns what in which generation, and which offsets are committed (G1, G2). */
export class GroupGhost {
  readonly #world: World
  /** By partition, in the order in which they began. */
  readonly #commits = new Map<number, Commit[]>()
  /** Member by generation and partition. */
  readonly #owners = new Map<string, string>()
  /** Last generation of each member. */
  readonly #generations = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
  }

  /** G1: a member has its part of a generation, which no other has. */
  onAssigned(memberId: string, generationId: number, partitions: readonly number[]): void {
    this.#world.judge('G1')
    const before = this.#generations.get(memberId) ?? -1
    must(generationId >= before, 'G1', () => `member ${memberId} is in generation ${generationId} after ${before}`)
    this.#generations.set(memberId, generationId)
    for (const partition of partitions) {
      const slot = `${generationId} ${partition}`
      const owner = this.#owners.get(slot) ?? memberId
      must(owner === memberId, 'G1', () => {
        return `partition ${partition} belongs to ${owner} and to ${memberId} in generation ${generationId}`
      })
      this.#owners.set(slot, memberId)
    }
  }

  /** A commit is sent; call what it returns once it is acknowledged. */
  onCommitting(offsets: ReadonlyMap<number, number>): () => void {
    const begun: Commit[] = []
    for (const [partition, offset] of offsets) {
      const commit = { offset, beganMs: this.#world.nowMs, ackedMs: Number.POSITIVE_INFINITY }
      const commits = this.#commits.get(partition)
      if (commits === undefined) this.#commits.set(partition, [commit])
      else commits.push(commit)
      begun.push(commit)
    }
    return () => {
      for (const commit of begun) commit.ackedMs = this.#world.nowMs
    }
  }

  /**
   * G2: what a look that began at `beganMs` and has ended found, by partition. Committed offsets are registers: what was acknowledged before
   * the look began is found, or what was committed beside it or later, and nothing that it replaced. `isOld`: it may come from a coordinator
   * that another has replaced without its knowing; it tells what once was committed.
   */
  check(found: ReadonlyMap<number, number>, beganMs: number, isOld = false): void {
    for (const [partition, commits] of this.#commits) {
      this.#world.judge('G2')
      let last: Commit | null = null
      for (const commit of commits) {
        if (!isOld && commit.ackedMs < beganMs && (last === null || commit.beganMs > last.beganMs)) last = commit
      }
      const offset = found.get(partition)
      if (last === null && offset === undefined) continue
      const sinceMs = last?.beganMs ?? Number.NEGATIVE_INFINITY
      must(offset !== undefined && commits.some((one) => one.offset === offset && one.ackedMs >= sinceMs), 'G2', () => {
        return `${last?.offset} was committed of partition ${partition} at ${last?.ackedMs} ms; a look at ${beganMs} ms found ${offset}`
      })
    }
  }
}
