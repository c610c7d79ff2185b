import type { SimulatedDisk, Uuid } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { batchOf } from './batches.ts'
import { valuesIn } from './data-client.ts'
import { TestBroker } from './test-broker.ts'

/** Logs that a start finds and the metadata has no place for. */

/** A broker is killed when the deletion of a topic is on the disk, and none of its directories is renamed yet. */
async function killedWhileDeleting(): Promise<{ disk: SimulatedDisk; goneId: Uuid }> {
  const broker = await TestBroker.start({ seed: 3 })
  const client = broker.connect()
  await client.createTopic('t', 4)
  await client.createTopic('gone', 3)
  for (const partition of [0, 3]) await client.produce('t', batchOf(['kept']), { partition })
  for (const partition of [0, 1, 2]) await client.produce('gone', batchOf(['lost']), { partition })
  const survivors: SimulatedDisk[] = []
  broker.disk.onChange = (operation, path) => {
    if (operation === 'rename' && path.includes('/gone-') && survivors.length === 0) survivors.push(broker.disk.fork())
  }
  await client.deleteTopic('gone')
  broker.kill()
  expect(survivors).toHaveLength(1)
  const disk = survivors[0]!
  expect(logsOn(disk)).toEqual(['gone-0', 'gone-1', 'gone-2', 't-0', 't-1', 't-2', 't-3'])
  return { disk, goneId: broker.topicIds.get('gone')! }
}

function logsOn(disk: SimulatedDisk): string[] {
  return disk.listDirectory('/data').filter((name) => /^(gone|t)-/.test(name))
}

/** A disk comes back that was away while its topic was deleted and another one of the same name was made. */
describe('a log of a deleted topic beside the one of its namesake, in another log directory', () => {
  it.each([
    ['/data', '/other'],
    ['/other', '/data'],
  ])('is set aside wherever it lies, and the other is served: %s first', async (...directories) => {
    const settings = { 'log.dirs': directories.join(',') }
    const first = await TestBroker.start({ settings, seed: 3 })
    const client = first.connect()
    await client.createTopic('t')
    await client.produce('t', batchOf(['kept']))
    await first.stop()
    const { disk } = first
    const [home, other] = disk.stat('/data/t-0') === null ? ['/other', '/data'] : ['/data', '/other']
    disk.makeDirectory(`${other}/t-0`)
    for (const name of disk.listDirectory(`${home}/t-0`)) {
      const contents =
        name === 'partition.metadata'
          ? Buffer.from('version: 0\ntopic_id: b3RoZXJvdGhlcm90aGVybw')
          : disk.peek(`${home}/t-0/${name}`)
      const file = disk.openFile(`${other}/t-0/${name}`, { create: true })
      file.write(contents, 0, contents.length, 0)
      file.close()
    }
    for (let start = 0; start < 2; start++) {
      await TestBroker.run({ disk, settings, seed: 4 + start }, async (again) => {
        expect(valuesIn((await again.fetchFrom('t', 0, 12)).records)).toEqual(['kept'])
      })
      const names = disk.listDirectory(other).filter((name) => name.startsWith('t-0'))
      expect(names).toHaveLength(1)
      expect(names[0]).toMatch(/-stray$/)
    }
  })
})

describe('a log without a place in the metadata', () => {
  it('is removed if its topic was deleted just before the end', async () => {
    const { disk } = await killedWhileDeleting()
    await TestBroker.run({ disk, seed: 4 }, async (client, broker) => {
      await broker.advance(61_000)
      expect(logsOn(disk)).toEqual(['t-0', 't-1', 't-2', 't-3'])
      expect(valuesIn((await client.fetchFrom('t', 0, 12)).records)).toEqual(['kept'])
    })
  })

  it('is set aside if nothing is known of its topic, and one line tells of all that are', async () => {
    const { disk } = await killedWhileDeleting()
    disk.removeFile('/data/metadata/journal')
    await TestBroker.run({ disk, seed: 4 }, async (_, broker) => {
      await broker.advance(61_000)
      expect(logsOn(disk)).toHaveLength(7)
      for (const name of logsOn(disk)) expect(name).toMatch(/-stray$/)
      const told = broker.logger.lines.filter(({ message }) => message.includes('without a place in the metadata'))
      expect(told.map(({ fields }) => fields)).toMatchObject([{ count: 7 }])
    })
  })

  it('is kept although it says that it is of a deleted topic, if its name is in use', async () => {
    const { disk, goneId } = await killedWhileDeleting()
    const file = disk.openFile('/data/t-3/partition.metadata', { create: false })
    const contents = Buffer.from(`version: 0\ntopic_id: ${goneId}`)
    file.truncate(0)
    file.write(contents, 0, contents.length, 0)
    file.close()
    const broker = await TestBroker.start({ disk, seed: 4 })
    await broker.advance(61_000)
    const filled = logsOn(disk).filter((name) => disk.stat(`/data/${name}/00000000000000000000.log`)?.sizeBytes)
    expect(filled).toHaveLength(2)
    await broker.stop()
  })
})
