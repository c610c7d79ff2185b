import { ErrorCode } from '@millrace/protocol'
import { type GroupContext, regexTimerKey } from '../group-context.ts'
import { consumerGroupOf } from '../group-lookup.ts'
import type { GroupStep } from '../group-protocol.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { isSameNames } from './consumer-member.ts'
import type { ResolvedRegex } from './consumer-record.ts'
import { write } from './consumer-replay.ts'
import { bumpEpoch } from './group-epochs.ts'
import { awaitMembers } from './member-writes.ts'
import type { RegexSearch } from './regex-search.ts'
import { compileTopicRegex } from './topic-regex.ts'

/** A group's expressions are not matched again sooner, whatever happens: with ten thousand topics that takes a while. */
const MIN_REFRESH_INTERVAL_MS = 10_000
/** What is matched in one turn: so many short names, with an expression that costs little. It is some milliseconds at most. */
const SLICE_COST = 500
/** A name of so many characters costs twice what an empty one does. */
const NAME_COST_LENGTH = 50
/** Between two slices: others have the loop most of the time. */
const SLICE_DELAY_MS = 5
/** A group with regular expressions keeps for each its text and a list. */
const RESOLVED_TOPIC_BYTES = 16

/**
 * Begins to find out what the group's regular expressions match, if there is something to find out: one is not resolved, topics were
 * created since the last time, or that was long ago (`coordinators.md`, 3.5).
 */
export function maybeResolveRegexes(
  context: GroupContext,
  group: ConsumerGroup,
  mayDescribe: (topic: string) => boolean,
  step: GroupStep,
): void {
  if (group.usedRegexCount === 0 || group.regexSearch !== null) return
  const ageMs = step.nowMs - group.regexesAskedMs
  if (ageMs >= 0 && ageMs <= MIN_REFRESH_INTERVAL_MS) return
  const { directory, config } = context
  const isDue =
    group.usedRegexCount !== group.regexes.size ||
    group.regexesAskedAt !== directory.createdCount ||
    ageMs > config.groupConsumerRegexRefreshIntervalMs ||
    ageMs < 0
  if (!isDue) return
  const { groupId } = group
  group.regexesAskedMs = step.nowMs
  group.regexesAskedAt = directory.createdCount
  group.regexSearch = {
    regexes: [...group.usedRegexes()],
    topics: [...directory.topicNames()],
    version: directory.version.offset,
    mayDescribe,
    found: new Map(),
    regexSlot: 0,
    topicSlot: 0,
    compiled: null,
  }
  step.schedule(regexTimerKey(groupId), 0, { type: 'regex-due', groupId }, MIN_REFRESH_INTERVAL_MS)
}

/** Matches a slice of the topics; after the last the group is told. */
export function onRegexDue(context: GroupContext, groupId: string, step: GroupStep): void {
  const group = consumerGroupOf(context, groupId)
  const task = group?.regexSearch ?? null
  if (group === undefined || task === null) return
  let room = SLICE_COST
  while (room > 0 && task.regexSlot < task.regexes.length) room -= matchSlice(task, room)
  if (task.regexSlot < task.regexes.length) {
    step.schedule(regexTimerKey(groupId), SLICE_DELAY_MS, { type: 'regex-due', groupId }, MIN_REFRESH_INTERVAL_MS)
    return
  }
  group.regexSearch = null
  applyFound(context, group, task, step)
}

/** Gives what it cost. */
function matchSlice(task: RegexSearch, room: number): number {
  const regex = task.regexes[task.regexSlot]!
  task.compiled ??= compileTopicRegex(regex)
  const { compiled, topics } = task
  let found = task.found.get(regex)
  if (found === undefined) {
    found = []
    task.found.set(regex, found)
  }
  let spent = 1
  // Another broker took an expression that this one does not take: it matches nothing here.
  if (compiled === null) task.topicSlot = topics.length
  while (task.topicSlot < topics.length && spent < room) {
    const topic = topics[task.topicSlot++]!
    spent += compiled!.cost * (1 + topic.length / NAME_COST_LENGTH)
    if (compiled!.matches(topic) && task.mayDescribe(topic)) found.push(topic)
  }
  if (task.topicSlot === topics.length) {
    task.regexSlot++
    task.topicSlot = 0
    task.compiled = null
  }
  return spent
}

function applyFound(context: GroupContext, group: ConsumerGroup, task: RegexSearch, step: GroupStep): void {
  const { groupId } = group
  const { limits, counters } = context
  let isChanged = false
  for (const [regex, found] of task.found) {
    if (group.regexUserCount(regex) === 0) continue
    const topics = found.sort()
    const known = group.regexes.get(regex)
    if (known !== undefined && isSameNames(known.topics, topics)) continue
    const bytes = (topics.length - (known?.topics.length ?? 0)) * RESOLVED_TOPIC_BYTES
    if (!limits.hasRoomFor(0, bytes, group.owner)) {
      // It is tried again, and nobody is worse off than before.
      counters.limitRefusals++
      continue
    }
    if (topics.length > 0 || known !== undefined) isChanged = true
    const value: ResolvedRegex = { topics, version: task.version, timestampMs: step.nowMs }
    write(context, { type: 'consumer-regex', groupId, regex, value }, step)
  }
  const hash = context.directory.hashOf(group.subscribedTopics())
  if (isChanged || hash !== group.epoch.metadataHash) {
    bumpEpoch(context, group, 'its regular expressions match other topics', step)
  }
  awaitMembers(groupId, [], step)
}

/** Deletes what the group knows of expressions that no member uses any more. */
export function dropUnusedRegexes(context: GroupContext, group: ConsumerGroup, step: GroupStep): void {
  const { groupId } = group
  for (const regex of [...group.regexes.keys()]) {
    if (group.regexUserCount(regex) > 0) continue
    write(context, { type: 'consumer-regex', groupId, regex, value: null }, step)
  }
}

/** The error of a regular expression that a member brings: only one that nobody in the group uses yet is looked at. */
export function regexError(group: ConsumerGroup, regex: string): number {
  if (group.regexUserCount(regex) > 0 || compileTopicRegex(regex) !== null) return ErrorCode.NONE
  return ErrorCode.INVALID_REGULAR_EXPRESSION
}
