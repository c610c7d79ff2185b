import { ErrorCode } from '@millrace/protocol'
import { type GroupContext, regexTimerKey } from '../group-context.ts'
import { consumerGroupOf } from '../group-lookup.ts'
import type { GroupStep } from '../group-protocol.ts'
import { isSameNames } from '../modern/modern-member.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import type { ResolvedRegex } from './consumer-record.ts'
import { write } from './consumer-replay.ts'
import { bumpEpoch } from './group-epochs.ts'
import { awaitMembers } from './member-writes.ts'
import type { RegexSearch } from './regex-search.ts'
import { compileTopicRegex } from './topic-regex.ts'

/** A group's expressions are not matched again sooner, whatever happens: with ten thousand topics that takes a while. */
const MIN_REFRESH_INTERVAL_MS = 10_000
/**
 * Steps of compiled expressions in one turn, and at least one name: of a hostile expression a step takes 20 ns, and no name with it takes
 * more than two or three such slices. Of others it is hundreds of names.
 */
const SLICE_STEPS = 100_000
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
    isCompiled: false,
  }
  step.schedule(regexTimerKey(groupId), 0, { type: 'regex-due', groupId }, MIN_REFRESH_INTERVAL_MS)
}

/** Compiles one expression at most, and matches a slice of the topics; after the last the group is told. */
export function onRegexDue(context: GroupContext, groupId: string, step: GroupStep): void {
  const group = consumerGroupOf(context, groupId)
  const task = group?.regexSearch ?? null
  if (group === undefined || task === null) return
  let room = SLICE_STEPS
  let mayCompile = true
  while (room > 0 && task.regexSlot < task.regexes.length && (task.isCompiled || mayCompile)) {
    if (!task.isCompiled) {
      task.compiled = compileTopicRegex(task.regexes[task.regexSlot]!)
      task.isCompiled = true
      mayCompile = false
    }
    room -= matchSlice(task, room)
  }
  if (task.regexSlot < task.regexes.length) {
    step.schedule(regexTimerKey(groupId), SLICE_DELAY_MS, { type: 'regex-due', groupId }, MIN_REFRESH_INTERVAL_MS)
    return
  }
  group.regexSearch = null
  applyFound(context, group, task, step)
}

/** Gives how many steps it took. */
function matchSlice(task: RegexSearch, room: number): number {
  const regex = task.regexes[task.regexSlot]!
  const { compiled, topics } = task
  let found = task.found.get(regex)
  if (found === undefined) {
    found = []
    task.found.set(regex, found)
  }
  let spent = 0
  // Another broker took an expression that this one does not take: it matches nothing here.
  if (compiled === null) task.topicSlot = topics.length
  while (task.topicSlot < topics.length && spent < room) {
    const topic = topics[task.topicSlot++]!
    spent += compiled!.size * (1 + topic.length)
    if (compiled!.matches(topic) && task.mayDescribe(topic)) found.push(topic)
  }
  if (task.topicSlot === topics.length) {
    task.regexSlot++
    task.topicSlot = 0
    task.compiled = null
    task.isCompiled = false
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
      // It is tried again at some later heartbeat, and nobody is worse off than before.
      group.regexesAskedAt = -1
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

/** The error of a regular expression that a member brings: only one that nobody in the group, if there is one, uses yet is looked at. */
export function regexError(group: ConsumerGroup | null, regex: string): number {
  if ((group !== null && group.regexUserCount(regex) > 0) || compileTopicRegex(regex) !== null) return ErrorCode.NONE
  return ErrorCode.INVALID_REGULAR_EXPRESSION
}
