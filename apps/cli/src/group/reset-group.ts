import type { Admin, ResetTarget, TopicPartition } from '@millrace/client'
import { CliError, ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { parseTime } from '../options/durations.ts'
import { requireNumberList } from '../options/numbers.ts'
import { isShareGroup } from './share-groups.ts'

interface ResetOptions {
  topic: string[]
  allTopics?: boolean
  to?: string
  execute?: boolean
}

export const resetGroup: CommandDefinition<ResetOptions> = {
  name: 'reset',
  arguments: [['<group>', 'group id; it must have no members']],
  summary: 'Set the committed offsets of a group, or where a share group begins; without --execute only show the plan',
  description: `--to takes:
  earliest, latest   the ends of the log
  current            what is committed now (a share group: where it begins), or the end where nothing is
  N                  an offset
  +N, -N             so many records forward or back
  TIME               the first record at or after 2026-11-21T10:00, 1795257624822 (ms) or -15m (ago)
Offsets are kept inside the log.`,
  options: [
    {
      flags: '-t, --topic <topic[:partitions]>',
      description: 'orders or orders:0,2-4; may be repeated',
      repeatable: true,
    },
    { flags: '--all-topics', description: 'every topic that the group has committed, or a share group has begun' },
    { flags: '--to <place>', description: 'where to, see above' },
    { flags: '--execute', description: 'do it' },
  ],
  examples: [
    ['group reset billing --all-topics --to earliest', 'show what reading all again would mean'],
    ['group reset billing -t orders --to -1h --execute', 'go back one hour'],
    ['group reset billing -t orders:0 --to +1 --execute', 'pass over one record that cannot be handled'],
  ],
  async run(context, [groupId], options) {
    const target = parseTarget(options.to, context.io.clock.wallMs())
    if (options.topic.length === 0 && !options.allTopics) {
      throw usageError('nothing to reset', 'Give --topic TOPIC, or --all-topics.')
    }
    return context.withAdmin(async (admin) => {
      const isShare = await isShareGroup(admin, groupId!)
      const begun = isShare ? await shareGroupPlaces(admin, groupId!) : await admin.listGroupOffsets(groupId!)
      if (options.allTopics && begun.length === 0) {
        const nothing = isShare ? `share group ${groupId} has begun no topic` : `group ${groupId} has committed nothing`
        throw new CliError(nothing, { hint: 'Name topics with --topic.' })
      }
      const partitions = await partitionsOf(admin, begun, options)
      const plan = await admin.planOffsetReset(groupId!, partitions, target, { current: begun })
      const offsets = plan.map(({ topic, partition, newOffset }) => ({ topic, partition, offset: newOffset }))
      const alter = () =>
        isShare ? admin.alterShareGroupOffsets(groupId!, offsets) : admin.alterGroupOffsets(groupId!, offsets)
      const outcomes = options.execute ? await alter() : null
      const resultOf = ({ topic, partition }: TopicPartition) =>
        outcomes?.some((one) => one.topic === topic && one.partition === partition && one.error === null)
          ? 'changed'
          : 'failed'
      await context.printRows(
        plan.map((one) => {
          const { topic, partition, currentOffset, newOffset } = one
          const row = { topic, partition, currentOffset, newOffset, change: newOffset - (currentOffset ?? 0n) }
          return outcomes === null ? row : { ...row, result: resultOf(one) }
        }),
        [
          { key: 'topic' },
          { key: 'partition' },
          { key: 'currentOffset', title: 'CURRENT' },
          { key: 'newOffset', title: 'NEW' },
          { key: 'change' },
          ...(outcomes === null ? [] : [{ key: 'result' }]),
        ],
      )
      if (outcomes !== null) return reportOutcomes(context, outcomes)
      await context.note('Nothing was changed: add --execute to do it.')
      return ExitCode.OK
    })
  },
}

/** What `--to` says. Throws a usage error. */
export function parseTarget(text: string | undefined, nowMs: number): ResetTarget {
  if (text === undefined) throw usageError('where to?', 'Give --to earliest, latest, an offset, +N, -N or a time.')
  if (text === 'earliest' || text === 'latest' || text === 'current') return { to: text }
  if (/^[+-]\d+$/.test(text)) return { shiftBy: BigInt(text) }
  // Twelve digits and more are a time: no log has that many records, and seconds since 1970 have ten.
  if (/^\d{1,11}$/.test(text)) return { toOffset: BigInt(text) }
  const timeMs = parseTime(text, nowMs)
  if (timeMs === null) throw usageError(`--to ${text}: neither a word, an offset, a distance nor a time`)
  return { toTimestamp: timeMs }
}

/** Where a share group begins, in the shape of committed offsets. */
async function shareGroupPlaces(admin: Admin, groupId: string): Promise<(TopicPartition & { offset: bigint })[]> {
  const outcomes = await admin.listShareGroupOffsets(groupId)
  return outcomes.flatMap(({ topic, partition, startOffset, error }) => {
    if (error !== null) throw error
    return startOffset === null ? [] : [{ topic, partition, offset: startOffset }]
  })
}

async function partitionsOf(
  admin: Admin,
  begun: readonly TopicPartition[],
  options: ResetOptions,
): Promise<TopicPartition[]> {
  const places = new Map<string, TopicPartition>()
  const add = ({ topic, partition }: TopicPartition) => places.set(`${topic}/${partition}`, { topic, partition })
  if (options.allTopics) for (const place of begun) add(place)
  for (const text of options.topic) {
    const { topic, partitions } = parseTopicPartitions(text)
    const [description] = await admin.describeTopics([topic])
    if (description!.error !== null) throw description!.error
    const all = description!.partitions.map(({ partition }) => partition)
    for (const partition of partitions ?? all) {
      if (!all.includes(partition)) throw usageError(`--topic ${text}: ${topic} has partitions 0 to ${all.length - 1}`)
      add({ topic, partition })
    }
  }
  return [...places.values()]
}

/** Topic and partitions of `orders` or `orders:0,2-4`; null partitions for all. */
export function parseTopicPartitions(text: string): { topic: string; partitions: number[] | null } {
  const colon = text.lastIndexOf(':')
  if (colon === -1) return { topic: text, partitions: null }
  return { topic: text.slice(0, colon), partitions: requireNumberList('--topic', text.slice(colon + 1)) }
}
