import { SeededRandom, type SimulatedDisk } from '@millrace/base'
import {
  createElectLeadersRequest,
  createMetadataRequest,
  createMetadataRequestTopic,
  ErrorCode,
  electLeadersApi,
  metadataApi,
} from '@millrace/protocol'
import { expect, test } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import { type DataClient, valuesIn } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'

/**
 * Goal: wherever the power goes while a lost log is found, given up and begun anew, its partition is offline, or what was given up for it is
 * there. Method: at each change of the disk a copy is made of what a loss of power would leave; a node is started on each of them, twice.
 */

/** Of what a loss of power takes. */
const SEED = 1
const IDENTITY = 't-0/partition.metadata'
const HARMS = {
  'has a damaged identity': (disk: SimulatedDisk, home: string) => disk.corrupt(`${home}/${IDENTITY}`, 3, 1),
  'names another topic': (disk: SimulatedDisk, home: string) => disk.corrupt(`${home}/${IDENTITY}`, 30, 1),
  'has no identity': (disk: SimulatedDisk, home: string) => {
    disk.removeFile(`${home}/${IDENTITY}`)
    disk.syncDirectory(`${home}/t-0`)
  },
  'is gone': (disk: SimulatedDisk, home: string) => disk.takeAway(`${home}/t-0`),
}

async function leaderOf(client: DataClient): Promise<number> {
  const request = createMetadataRequest({ topics: [createMetadataRequestTopic({ name: 't' })] })
  return (await client.call(metadataApi, 9, request)).topics[0]!.partitions[0]!.leaderId
}

async function giveUp(client: DataClient): Promise<void> {
  const request = createElectLeadersRequest({ electionType: 1, topicPartitions: null, timeoutMs: 1_000 })
  expect((await client.call(electLeadersApi, 2, request)).errorCode).toBe(ErrorCode.NONE)
}

async function valuesOf(client: DataClient): Promise<(string | null)[]> {
  return valuesIn((await client.fetchFrom('t', 0, 12)).records)
}

/** A life of the node, which may tell of errors. */
async function live(
  disk: SimulatedDisk,
  seed: number,
  settings: Readonly<Record<string, string>>,
  body: (client: DataClient) => Promise<void>,
): Promise<void> {
  const broker = await TestBroker.start({ disk, seed, settings })
  await body(broker.connect())
  await broker.stop()
  expect(broker.fatalErrors).toEqual([])
}

/** Of the life after a loss of power: what is there, and that the log can be given up and goes on where it cannot. */
async function checkFirst(client: DataClient, phase: string, when: string): Promise<void> {
  const isOffline = (await leaderOf(client)) === -1
  if (phase === 'lost') expect(isOffline, when).toBe(true)
  if (phase === 'acknowledged') expect(isOffline, when).toBe(false)
  if (isOffline) await giveUp(client)
  const values = await valuesOf(client)
  if (phase === 'acknowledged') expect(values, when).toEqual(['new'])
  else expect([[], ['new']], when).toContainEqual(values)
  expect((await client.produce('t', batchOf(['more']))).errorCode, when).toBe(ErrorCode.NONE)
}

/** A topic with a record. Where there are two directories, the one that does not have its log has fewer: a new one comes into that. */
async function filled(settings: Readonly<Record<string, string>>, directories: readonly string[]) {
  const broker = await TestBroker.start({ seed: 3, settings })
  const client = broker.connect()
  await client.createTopic('t')
  await client.produce('t', batchOf(['kept']))
  const home = directories.find((directory) => broker.disk.stat(`${directory}/t-0`) !== null)!
  for (const name of ['u', 'v']) await client.createTopic(name)
  for (const name of ['u', 'v']) if (broker.disk.stat(`${home}/${name}-0`) === null) await client.deleteTopic(name)
  await broker.stop()
  return { disk: broker.disk, home }
}

test.each(
  Object.entries(HARMS).flatMap(([how, harm]) =>
    ['/data', '/a,/b'].map((directories) => [how, directories, harm] as const),
  ),
)('of a log that %s, in %s', async (_, directories, harm) => {
  const settings = { 'log.dirs': directories }
  const { disk, home } = await filled(settings, directories.split(','))
  harm(disk, home)
  const cuts: { disk: SimulatedDisk; phase: string; at: string }[] = []
  const random = new SeededRandom(SEED)
  const choose = (count: number) => random.uint32() % count
  let phase = 'lost'
  disk.onChange = (operation, path) => cuts.push({ disk: disk.crashed({ choose }), phase, at: `${operation} ${path}` })
  const broker = await TestBroker.start({ disk, seed: 4, settings })
  const client = broker.connect()
  expect(await leaderOf(client)).toBe(-1)
  phase = 'given up'
  await giveUp(client)
  expect(await client.produce('t', batchOf(['new']))).toMatchObject({ errorCode: ErrorCode.NONE, baseOffset: 0 })
  phase = 'acknowledged'
  await broker.advance(3_000)
  await broker.stop()
  disk.onChange = () => undefined
  expect(new Set(cuts.map((cut) => cut.phase)).size).toBe(3)
  for (const cut of cuts) {
    const when = `${cut.phase}, at: ${cut.at}`
    await live(cut.disk, 5, settings, (again) => checkFirst(again, cut.phase, when))
    await live(cut.disk, 6, settings, async (again) => expect((await valuesOf(again)).at(-1), when).toBe('more'))
  }
})
