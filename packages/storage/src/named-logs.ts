import { partitionDirectoryName } from './file-names.ts'
import type { Log } from './log.ts'

/** The logs that are in use, by the names of their partitions' directories. */
export class NamedLogs {
  readonly current: Map<string, Log>
  /** Found beside one of `current`, in another directory, with the same name and another topic's id. */
  readonly namesakes: Set<Log>

  constructor() {
    this.current = new Map()
    this.namesakes = new Set()
  }

  *all(): Iterable<Log> {
    yield* this.current.values()
    yield* this.namesakes
  }

  /** A namesake takes the place of one that is out of use. */
  forget(log: Log): void {
    if (this.namesakes.delete(log)) return
    const name = partitionDirectoryName(log.topic, log.partition)
    if (this.current.get(name) !== log) return
    this.current.delete(name)
    for (const other of this.namesakes) {
      if (partitionDirectoryName(other.topic, other.partition) !== name) continue
      this.namesakes.delete(other)
      this.current.set(name, other)
      return
    }
  }
}
