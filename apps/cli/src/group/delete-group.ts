import type { Admin, TopicPartition } from '@millrace/client'
import type { CliContext } from '../command/cli-context.ts'
import { CliError, ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { parseTopicPartitions } from './reset-group.ts'
import { isShareGroup } from './share-groups.ts'

export const deleteGroup: CommandDefinition<object> = {
  name: 'delete',
  arguments: [['<groups...>', 'group ids; they must have no members']],
  summary: 'Delete groups and the offsets that they committed',
  examples: [
    ['group delete billing', 'one group'],
    ['group delete a b c', 'several'],
  ],
  async run(context, groupIds) {
    const outcomes = await context.withAdmin((admin) => admin.deleteGroups(groupIds))
    await context.printRows(
      outcomes.map(({ groupId, error }) => ({ group: groupId, result: error === null ? 'deleted' : 'failed' })),
      [{ key: 'group' }, { key: 'result' }],
    )
    return reportOutcomes(context, outcomes)
  },
}

export const deleteOffsets: CommandDefinition<{ topic: string[] }> = {
  name: 'delete-offsets',
  arguments: [['<group>', 'group id']],
  summary: 'Forget committed offsets of topics that no member reads',
  options: [
    {
      flags: '-t, --topic <topic[:partitions]>',
      description: 'orders or orders:0,2-4; may be repeated',
      repeatable: true,
    },
  ],
  examples: [
    ['group delete-offsets billing --topic orders', 'all partitions of a topic'],
    ['group delete-offsets billing --topic orders:0', 'one partition'],
  ],
  async run(context, [groupId], options) {
    if (options.topic.length === 0) throw usageError('which topic?', 'Give --topic TOPIC.')
    return context.withAdmin(async (admin) => {
      if (await isShareGroup(admin, groupId!)) return deleteShareOffsets(context, admin, groupId!, options.topic)
      const committed = await admin.listGroupOffsets(groupId!)
      const wanted = options.topic.map((text) => ({ text, ...parseTopicPartitions(text) }))
      const isWanted = ({ topic, partition }: TopicPartition, want: (typeof wanted)[number]) =>
        want.topic === topic && (want.partitions === null || want.partitions.includes(partition))
      const places = committed.filter((place) => wanted.some((want) => isWanted(place, want)))
      const absent = wanted.filter((want) => !places.some((place) => isWanted(place, want))).map(({ text }) => text)
      const complaint = `group ${groupId} has committed nothing for ${absent.join(', ')}`
      if (places.length === 0) throw new CliError(complaint, { hint: 'See "millrace group describe".' })
      const outcomes = await admin.deleteGroupOffsets(groupId!, places)
      await context.printRows(
        outcomes.map(({ topic, partition, error }) => ({
          topic,
          partition,
          result: error === null ? 'deleted' : 'failed',
        })),
        [{ key: 'topic' }, { key: 'partition' }, { key: 'result' }],
      )
      const exitCode = await reportOutcomes(context, outcomes)
      if (absent.length === 0) return exitCode
      await context.note(`millrace: ${complaint}`)
      return exitCode === ExitCode.OK ? ExitCode.PARTIAL : exitCode
    })
  },
}

/** A share group forgets whole topics, and only while it has no members. */
async function deleteShareOffsets(
  context: CliContext,
  admin: Admin,
  groupId: string,
  topics: readonly string[],
): Promise<number> {
  const single = topics.find((text) => parseTopicPartitions(text).partitions !== null)
  if (single !== undefined) throw usageError(`--topic ${single}: a share group forgets whole topics`)
  const outcomes = await admin.deleteShareGroupOffsets(groupId, topics)
  await context.printRows(
    outcomes.map(({ topic, error }) => ({ topic, result: error === null ? 'deleted' : 'failed' })),
    [{ key: 'topic' }, { key: 'result' }],
  )
  return reportOutcomes(context, outcomes)
}
