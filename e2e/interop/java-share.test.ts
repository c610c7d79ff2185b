import { describe, expect, inject, it } from 'vitest'
import { javaTool } from '../harness/java-tools.ts'
import { createTopic, uniqueName } from '../harness/topics.ts'

const bootstrap = inject('bootstrap')
const server = ['--bootstrap-server', bootstrap]

const linesOf = (text: string): string[] => text.trim().split('\n')

/** A share group that begins at the beginning, and a topic with a record for each line. */
async function groupWith(lines: readonly string[]): Promise<{ topic: string; group: string }> {
  const topic = await createTopic(bootstrap)
  const group = uniqueName('share')
  await javaTool('console-producer', [...server, '--topic', topic], { input: `${lines.join('\n')}\n` })
  const entity = ['--alter', '--entity-type', 'groups', '--entity-name', group]
  await javaTool('configs', [...server, ...entity, '--add-config', 'share.auto.offset.reset=earliest'])
  return { topic, group }
}

async function consume(topic: string, group: string, count: number, ...args: string[]): Promise<string[]> {
  const place = ['--topic', topic, '--group', group, '--max-messages', String(count), '--timeout-ms', '60000']
  const { stdout } = await javaTool('console-share-consumer', [...server, ...place, ...args])
  return linesOf(stdout)
}

const shareGroups = async (...args: string[]): Promise<string> =>
  (await javaTool('share-groups', [...server, ...args])).stdout

describe("Kafka's console share consumer", () => {
  it('accepts each record once, and another one goes on', async () => {
    const { topic, group } = await groupWith(['a', 'b', 'c', 'd', 'e'])
    expect(await consume(topic, group, 2)).toEqual(['a', 'b'])
    expect(await consume(topic, group, 3)).toEqual(['c', 'd', 'e'])
  })

  it('gets again what it released, and never again what it rejected', async () => {
    const { topic, group } = await groupWith(['a', 'b', 'c'])
    expect(await consume(topic, group, 3, '--release')).toEqual(['a', 'b', 'c'])
    expect(await consume(topic, group, 1, '--reject')).toEqual(['a'])
    expect(await consume(topic, group, 2)).toEqual(['b', 'c'])
  })
})

describe("Kafka's share-groups tool", () => {
  it('lists, describes, resets and deletes', async () => {
    const { topic, group } = await groupWith(['a', 'b', 'c', 'd'])
    await consume(topic, group, 3)
    expect(linesOf(await shareGroups('--list'))).toContain(group)
    expect(await shareGroups('--describe', '--group', group, '--state')).toMatch(/\sEmpty\s+0/)
    expect(await shareGroups('--describe', '--group', group)).toMatch(new RegExp(`${topic}\\s+0\\s+3\\s+1`))
    const everything = ['--group', group, '--topic', topic]
    await shareGroups('--reset-offsets', ...everything, '--to-earliest', '--execute')
    expect(await shareGroups('--describe', '--group', group)).toMatch(new RegExp(`${topic}\\s+0\\s+0\\s+4`))
    expect(await consume(topic, group, 4)).toEqual(['a', 'b', 'c', 'd'])
    expect(await shareGroups('--delete-offsets', ...everything)).toMatch(/Successful/)
    await shareGroups('--delete', '--group', group)
    expect(linesOf(await shareGroups('--list'))).not.toContain(group)
  })
})
