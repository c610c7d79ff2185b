import { expect, test } from 'vitest'
import { batchOf } from './batches.ts'
import { type DataClient, valuesIn } from './data-client.ts'
import { TestBroker } from './test-broker.ts'

/** Log directories of a single node that are gone, or empty, at a start: nobody else has what was in them. */

const SETTINGS = { 'log.dirs': '/a,/b' }

/** Two partitions with a record each, one in each directory; the node has stopped. */
async function filled(): Promise<{ broker: TestBroker; id: string; lost: number }> {
  const broker = await TestBroker.start({ settings: SETTINGS })
  const client = broker.connect()
  await client.createTopic('t', 2)
  for (const partition of [0, 1]) await client.produce('t', batchOf([`value ${partition}`]), { partition })
  await broker.stop()
  const id = /directory\.id=(\S+)/.exec(broker.disk.readFile('/b/meta.properties').toString())![1]!
  const lost = Number(/t-(\d)/.exec(broker.disk.listDirectory('/b').find((name) => name.startsWith('t-'))!)![1])
  return { broker, id, lost }
}

async function read(client: DataClient, partition: number) {
  return (await client.fetch([{ topic: 't', partition }], {}, 12)).responses[0]!.partitions[0]!
}

test('a start where the disk of one is not mounted is refused, and all is there once it is', async () => {
  const { broker, id, lost } = await filled()
  const { disk } = broker
  disk.rename('/b', '/away')
  for (let count = 0; count < 2; count++) {
    await expect(TestBroker.start({ settings: SETTINGS, disk })).rejects.toThrow(
      new RegExp(`id ${id}, .* in /a, /b, and 1 partitions have no log \\(t-${lost}\\).*log.dirs.forgotten=${id}`),
    )
  }
  disk.rename('/b', '/empty')
  disk.rename('/away', '/b')
  await TestBroker.run({ settings: SETTINGS, disk }, async (client) => {
    for (const partition of [0, 1]) {
      const { records } = await read(client, partition)
      expect(valuesIn(records as Buffer)).toEqual([`value ${partition}`])
    }
  })
})

test('its partitions begin anew where the operator has given it up, and later starts ask no more', async () => {
  const { broker, id, lost } = await filled()
  const { disk } = broker
  disk.rename('/b', '/away')
  const forgotten = { ...SETTINGS, 'log.dirs.forgotten': id }
  for (const settings of [forgotten, SETTINGS]) {
    // Another seed, lest the new directory gets the id of an old one.
    await TestBroker.run({ settings, disk, seed: 5 }, async (client) => {
      const { records } = await read(client, 1 - lost)
      expect(valuesIn(records as Buffer)).toEqual([`value ${1 - lost}`])
      const { highWatermark } = await read(client, lost)
      expect(Number(highWatermark)).toBe(0)
    })
  }
})

test('a directory that held nothing may go', async () => {
  const broker = await TestBroker.start({ settings: SETTINGS })
  await broker.connect().createTopic('t')
  await broker.stop()
  const { disk } = broker
  const empty = ['/a', '/b'].find((path) => !disk.listDirectory(path).some((name) => name.startsWith('t-')))!
  // The metadata lies in the first one.
  expect(empty).toBe('/b')
  await TestBroker.run({ settings: { 'log.dirs': '/a' }, disk }, async (client) => {
    expect((await client.fetchFrom('t', 0, 12)).errorCode).toBe(0)
  })
})

test.each([
  [
    'is gone',
    '/a,/b',
    /^\/a, the first of log.dirs, has neither metadata nor logs, but there are 1 logs in the others .*\/b\/t-/,
  ],
  ['is named last', '/b,/a', /^\/b has no metadata, .* but \/a has: name \/a first/],
])(
  'nothing is begun anew or set aside where the directory with the metadata %s',
  async (what, directories, message) => {
    const { broker } = await filled()
    const { disk } = broker
    if (what === 'is gone') disk.rename('/a', '/away')
    const before = disk.listDirectory('/b')
    for (let count = 0; count < 2; count++) {
      await expect(TestBroker.start({ settings: { 'log.dirs': directories }, disk })).rejects.toThrow(message)
    }
    expect(disk.listDirectory('/b')).toEqual(before)
    if (what === 'is gone') {
      disk.rename('/a', '/empty')
      disk.rename('/away', '/a')
    }
    await TestBroker.run({ settings: SETTINGS, disk }, async (client) => {
      for (const partition of [0, 1]) {
        expect(valuesIn((await read(client, partition)).records as Buffer)).toEqual([`value ${partition}`])
      }
    })
  },
)
