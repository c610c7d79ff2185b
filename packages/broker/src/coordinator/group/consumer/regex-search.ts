import type { TopicRegex } from './topic-regex.ts'

/** What a group's regular expressions match, while it is found out: a slice of the topics at a time. */
export interface RegexSearch {
  readonly regexes: readonly string[]
  readonly topics: readonly string[]
  /** Of the metadata that has the topics. */
  readonly version: number
  /** Whether the client whose heartbeat began it may know of a topic. */
  readonly mayDescribe: (topic: string) => boolean
  readonly found: Map<string, string[]>
  /** Which expression is being matched, compiled, and from which topic on. */
  regexSlot: number
  topicSlot: number
  compiled: TopicRegex | null
  /** Whether it was: what is null then is no expression to this broker. */
  isCompiled: boolean
}
