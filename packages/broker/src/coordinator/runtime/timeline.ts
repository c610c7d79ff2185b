import { assert } from '@millrace/base'

/** Something whose changes a {@link Timeline} can commit or take back. */
export interface TimelineOwner {
  /** The oldest uncommitted change of the key is now committed. */
  commitOldest(key: unknown): void
  /** The newest uncommitted change of the key is taken back. */
  revertNewest(key: unknown): void
}

/** One key changed for the first time within one version. */
interface Change {
  readonly owner: TimelineOwner
  readonly key: unknown
  readonly version: number
}

/**
 * Versions of a coordinator's state. A state machine works on its newest state, which the log may still refuse or lose, while
 * reads answer from what is committed; both live in the same {@link TimelineMap}s. `begin` opens a version before each write
 * operation; `commitThrough` makes a prefix of the versions final when the high watermark passes; `rollbackFrom` takes back a
 * suffix when an append failed. Changes made while every begun version is committed (the replay of a log below its high
 * watermark) are final at once and cost nothing extra.
 */
export class Timeline {
  /** Newest version begun. */
  #version = 0
  /** Everything up to here is final. committed ≤ version. */
  #committedVersion = 0
  /** Uncommitted changes in order of version; those before `#head` are gone. */
  #changes: Change[] = []
  #head = 0

  get version(): number {
    return this.#version
  }

  get committedVersion(): number {
    return this.#committedVersion
  }

  /** Whether changes made now may still be taken back, and so must be remembered. */
  get isOpen(): boolean {
    return this.#version > this.#committedVersion
  }

  /** Opens the next version: changes from now on belong to it. */
  begin(): number {
    this.#version++
    return this.#version
  }

  /** Makes all changes of versions up to `version`, included, final. Versions committed before are no error. */
  commitThrough(version: number): void {
    assert(version <= this.#version, 'commit of a version that was never begun')
    if (version <= this.#committedVersion) return
    this.#committedVersion = version
    const changes = this.#changes
    while (this.#head < changes.length && changes[this.#head]!.version <= version) {
      const change = changes[this.#head]!
      this.#head++
      change.owner.commitOldest(change.key)
    }
    if (this.#head === changes.length) {
      changes.length = 0
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > changes.length) {
      this.#changes = changes.slice(this.#head)
      this.#head = 0
    }
  }

  /** Takes back all changes of `version` and later ones, newest first. None of them may be committed. */
  rollbackFrom(version: number): void {
    assert(version > this.#committedVersion, 'rollback of a committed version')
    const changes = this.#changes
    while (changes.length > this.#head && changes[changes.length - 1]!.version >= version) {
      const change = changes.pop()!
      change.owner.revertNewest(change.key)
    }
  }

  /** For owners only: remembers that `key` changes for the first time in the open version. */
  remember(owner: TimelineOwner, key: unknown): void {
    this.#changes.push({ owner, key, version: this.#version })
  }
}

/** What a key held before a version changed it; undefined: it was absent. */
interface Before<Value> {
  readonly version: number
  readonly value: Value | undefined
}

/** Keeps count of the values in one map or several, as of their newest state. */
export interface ValueTally<Value> {
  onAdded(value: Value): void
  onRemoved(value: Value): void
}

/**
 * A map with two faces: the newest state and, by the `Committed` methods, the state as of the last committed version. Values
 * are never undefined. A value that is itself mutable is shared by both faces; only its presence is versioned.
 */
export class TimelineMap<Key, Value> implements TimelineOwner {
  readonly #timeline: Timeline
  readonly #current = new Map<Key, Value>()
  /** For keys with uncommitted changes, what each version found, oldest first. Null while there are none. */
  #pending: Map<Key, Before<Value>[]> | null = null
  readonly #tally: ValueTally<Value> | null

  constructor(timeline: Timeline, tally: ValueTally<Value> | null = null) {
    this.#timeline = timeline
    this.#tally = tally
  }

  get size(): number {
    return this.#current.size
  }

  /** Both faces are the same. */
  get isCommitted(): boolean {
    return this.#pending === null
  }

  get(key: Key): Value | undefined {
    return this.#current.get(key)
  }

  has(key: Key): boolean {
    return this.#current.has(key)
  }

  set(key: Key, value: Value): void {
    this.#beforeChange(key)
    if (this.#tally !== null) this.#count(key, value)
    this.#current.set(key, value)
  }

  delete(key: Key): boolean {
    if (!this.#current.has(key)) return false
    this.#beforeChange(key)
    if (this.#tally !== null) this.#count(key, undefined)
    this.#current.delete(key)
    return true
  }

  keys(): MapIterator<Key> {
    return this.#current.keys()
  }

  values(): MapIterator<Value> {
    return this.#current.values()
  }

  entries(): MapIterator<[Key, Value]> {
    return this.#current.entries()
  }

  getCommitted(key: Key): Value | undefined {
    const changes = this.#pending?.get(key)
    return changes === undefined ? this.#current.get(key) : changes[0]!.value
  }

  /** Entries as of the last committed version, in no promised order. Not for hot paths. */
  *committedEntries(): Generator<[Key, Value]> {
    const pending = this.#pending
    if (pending === null) {
      yield* this.#current.entries()
      return
    }
    for (const entry of this.#current.entries()) {
      if (!pending.has(entry[0])) yield entry
    }
    for (const [key, changes] of pending) {
      const value = changes[0]!.value
      if (value !== undefined) yield [key, value]
    }
  }

  /** As {@link committedEntries}, the values only, in a list of its own. */
  committedValues(): Value[] {
    if (this.#pending === null) return [...this.#current.values()]
    return Array.from(this.committedEntries(), ([, value]) => value)
  }

  commitOldest(key: unknown): void {
    const pending = this.#pending!
    const changes = pending.get(key as Key)!
    if (changes.length > 1) {
      changes.shift()
      return
    }
    pending.delete(key as Key)
    if (pending.size === 0) this.#pending = null
  }

  revertNewest(key: unknown): void {
    const pending = this.#pending!
    const changes = pending.get(key as Key)!
    const { value } = changes.pop()!
    if (this.#tally !== null) this.#count(key as Key, value)
    if (value === undefined) this.#current.delete(key as Key)
    else this.#current.set(key as Key, value)
    if (changes.length > 0) return
    pending.delete(key as Key)
    if (pending.size === 0) this.#pending = null
  }

  /** Before the newest value of a key becomes `value`; undefined: it goes. */
  #count(key: Key, value: Value | undefined): void {
    const before = this.#current.get(key)
    if (before !== undefined) this.#tally!.onRemoved(before)
    if (value !== undefined) this.#tally!.onAdded(value)
  }

  #beforeChange(key: Key): void {
    if (!this.#timeline.isOpen) return
    const version = this.#timeline.version
    this.#pending ??= new Map()
    const changes = this.#pending.get(key)
    if (changes === undefined) {
      this.#pending.set(key, [{ version, value: this.#current.get(key) }])
    } else {
      if (changes[changes.length - 1]!.version === version) return
      changes.push({ version, value: this.#current.get(key) })
    }
    this.#timeline.remember(this, key)
  }
}
