import { SimulatedDisk } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { readCleanStop } from './clean-stop.ts'
import { fill, open, overwriteFile, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

const CLEAN_PATH = '/data/.kafka_cleanshutdown'
const MARK_PATH = '/data/durable-mark'
const NOT_AS_THEY_WERE = 'files are not as they were, walking the log'

/** A log of several segments that was stopped cleanly. */
async function stopped(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  await fill(opened, opened.manager.createLog('topic', 0, TOPIC_ID), 60)
  opened.timers.advance(2000)
  await turns()
  await opened.manager.shutdown()
  return disk
}

/** Cuts the last batch off the second segment. */
function cutSegment(disk: SimulatedDisk): void {
  const name = disk.listDirectory('/data/topic-0').filter((file) => file.endsWith('.log'))[1]!
  const contents = disk.peek(`/data/topic-0/${name}`)
  let last = 0
  for (let at = 0; at < contents.length; at += 12 + contents.readInt32BE(at + 8)) last = at
  overwriteFile(disk, `/data/topic-0/${name}`, contents.subarray(0, last))
}

/** Flips a bit in that record of the only entry which says that the log was closed cleanly. */
function damageNewestRecord(disk: SimulatedDisk): void {
  const contents = disk.peek(MARK_PATH)
  const at = [64, 128].filter((position) => (contents[position + 31]! & 1) === 1)
  expect(at).toHaveLength(1)
  disk.corrupt(MARK_PATH, at[0]! + 40, 1)
}

describe('a clean stop', () => {
  test('says that it was ours, in a file that Kafka reads as its own', async () => {
    const disk = await stopped()
    expect(readCleanStop(disk, '/data').stop).toBe('ours')
    expect(JSON.parse(disk.peek(CLEAN_PATH).toString('utf8'))).toMatchObject({ version: 0, brokerEpoch: -1 })
    overwriteFile(disk, CLEAN_PATH, Buffer.from('{"version":0,"brokerEpoch":17}'))
    expect(readCleanStop(disk, '/data').stop).toBe('anyone')
    disk.fault = (operation) => (operation === 'read' ? 'DISK_IO' : null)
    expect(readCleanStop(disk, '/data').stop).toBe('anyone')
    disk.fault = () => null
    disk.removeFile(CLEAN_PATH)
    expect(readCleanStop(disk, '/data').stop).toBeNull()
  })

  test('of ours has the files held against the entry of the mark, also where that is an older one', async () => {
    const disk = await stopped()
    damageNewestRecord(disk)
    const sound = await open(disk.copy())
    expect([sound.errors, sound.warnings]).toEqual([[], []])
    expect(sound.manager.log('topic', 0)!.logEndOffset).toBe(60)
    cutSegment(disk)
    for (let start = 0; start < 2; start++) {
      const again = await open(disk)
      if (start === 0) expect(again.warnings).toContain(NOT_AS_THEY_WERE)
      const log = again.manager.log('topic', 0)!
      expect(log.logEndOffset).toBe(60)
      expect(log.faultyRanges).toHaveLength(1)
      await again.manager.shutdown()
    }
  })

  test("of Kafka's, of which the mark knows nothing, has its files believed", async () => {
    const disk = await stopped()
    // Started and killed: from then on no entry says that the log was closed.
    await open(disk)
    const found = disk.killed()
    overwriteFile(found, CLEAN_PATH, Buffer.from('{"version":0,"brokerEpoch":17}'))
    cutSegment(found)
    const again = await open(found)
    expect([again.errors, again.warnings]).toEqual([[], []])
    expect(again.manager.recoveredUncleanly).toBe(false)
    expect(again.manager.log('topic', 0)!.logEndOffset).toBe(60)
  })
})

describe('the life before, as a cluster knows it', () => {
  async function restartedAfter(brokerEpoch: number, change: (disk: SimulatedDisk) => void = () => undefined) {
    const disk = await stopped()
    const opened = await open(disk)
    opened.manager.brokerEpoch = brokerEpoch
    await opened.manager.shutdown()
    change(disk)
    return (await open(disk)).manager
  }

  test('a clean stop names its broker epoch', async () => {
    expect(await restartedAfter(17)).toMatchObject({ previousBrokerEpoch: 17, mayLackDurable: false })
  })

  test('of a life that nobody was told of is not made up after a crash', async () => {
    const untold = async (disk: SimulatedDisk): Promise<unknown> => {
      const { manager } = await open(disk)
      await manager.shutdown(false)
      return disk.stat(CLEAN_PATH) === null ? null : readCleanStop(disk, '/data').brokerEpoch
    }
    const disk = await stopped()
    overwriteFile(disk, CLEAN_PATH, Buffer.from('{"version":0,"brokerEpoch":17,"durableMark":true}'))
    expect(await untold(disk)).toBe(-1)
    disk.removeFile(CLEAN_PATH)
    expect(await untold(disk)).toBe(null)
  })

  test('a crash names none, and nothing that was synced is missing', async () => {
    const manager = await restartedAfter(17, (disk) => disk.removeFile(CLEAN_PATH))
    expect(manager).toMatchObject({ previousBrokerEpoch: -1, recoveredUncleanly: true, mayLackDurable: false })
  })

  test('after a crash without a mark, nobody knows what was synced', async () => {
    const manager = await restartedAfter(17, (disk) => {
      disk.removeFile(CLEAN_PATH)
      disk.removeFile(MARK_PATH)
    })
    expect(manager).toMatchObject({ recoveredUncleanly: true, mayLackDurable: true })
  })
})
