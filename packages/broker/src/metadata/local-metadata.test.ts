import { SeededRandom } from '@millrace/base'
import { ConfigResourceType, configsOf } from '@millrace/consensus'
import { describe, expect, test } from 'vitest'
import type { Logger } from '../logger.ts'
import { MetadataStoreError } from './metadata-store-error.ts'
import { CrashDisk } from './testing/crash-disk.ts'
import { newTopic, openMetadata, silentLogger, thisBroker } from './testing/fixtures.ts'

const JOURNAL = 'data/metadata/journal'

function create(metadata: ReturnType<typeof openMetadata>, ...names: string[]) {
  return metadata.createTopics({ topics: names.map((name) => newTopic(name)), validateOnly: false })
}

describe('a new cluster', () => {
  test('has an id of 22 characters, the newest features and no topics', () => {
    const metadata = openMetadata()
    expect(metadata.created).toBe(true)
    expect(metadata.image.clusterId).toMatch(/^[A-Za-z0-9_-]{22}$/)
    expect(Object.fromEntries(metadata.image.features)).toMatchObject({ 'metadata.version': 30 })
    expect(metadata.image.topics.size).toBe(0)
  })

  test('takes the id that the data directories name', () => {
    expect(openMetadata({ clusterId: 'given' }).image.clusterId).toBe('given')
  })
})

describe('after a restart', () => {
  test('everything is as it was, and broker epochs grow', async () => {
    const disk = new CrashDisk()
    const before = openMetadata({ disk })
    await before.registerBroker(thisBroker)
    await create(before, 'a', 'b')
    await before.incrementalAlterConfigs(
      [
        {
          resourceType: ConfigResourceType.TOPIC,
          resourceName: 'a',
          configs: [{ name: 'retention.ms', configOperation: 0, value: '5' }],
        },
      ],
      false,
    )
    await before.allocateProducerIds()
    const image = before.image
    await before.close()
    const after = openMetadata({ disk })
    expect(after.created).toBe(false)
    expect(after.image.clusterId).toBe(image.clusterId)
    expect(after.image.offset).toBe(image.offset)
    expect(after.image.topics.get('a')).toEqual(image.topics.get('a'))
    expect(configsOf(after.image, ConfigResourceType.TOPIC, 'a').get('retention.ms')).toBe('5')
    expect(await after.allocateProducerIds()).toEqual({ start: 1000, end: 2000 })
    const answer = await after.registerBroker(thisBroker)
    expect('brokerEpoch' in answer && answer.brokerEpoch).toBeGreaterThan(image.brokers.get(1)!.epoch)
  })

  test('another cluster’s directories are refused', () => {
    const disk = new CrashDisk()
    const { clusterId } = openMetadata({ disk }).image
    expect(() => openMetadata({ disk, clusterId: 'other' })).toThrow(/belongs to cluster/)
    expect(openMetadata({ disk, clusterId }).image.clusterId).toBe(clusterId)
  })

  test('a topic that was made again has its new id', async () => {
    const disk = new CrashDisk()
    const metadata = openMetadata({ disk })
    await metadata.registerBroker(thisBroker)
    await create(metadata, 'a')
    const first = metadata.image.topics.get('a')!.id
    await metadata.deleteTopics([{ name: null, topicId: first }])
    await create(metadata, 'a')
    const second = metadata.image.topics.get('a')!.id
    expect(second).not.toBe(first)
    expect(openMetadata({ disk: disk.afterCrash(new SeededRandom(3)) }).image.topics.get('a')?.id).toBe(second)
  })
})

describe('answers', () => {
  test('come once the records are on disk, and listeners hear of them before', async () => {
    const disk = new CrashDisk()
    const metadata = openMetadata({ disk })
    await metadata.registerBroker(thisBroker)
    const heard: string[] = []
    const stop = metadata.subscribe((image, delta) => {
      expect(metadata.image).toBe(image)
      heard.push([...delta.changedTopics].join())
    })
    const syncs = disk.syncCount
    const answer = create(metadata, 'a').then((results) => heard.push(`answered ${results[0]?.errorCode}`))
    expect(metadata.image.topics.has('a')).toBe(false)
    await answer
    expect(heard).toEqual(['a', 'answered 0'])
    expect(disk.syncCount).toBe(syncs + 1)
    stop()
    await create(metadata, 'b')
    expect(heard).toHaveLength(2)
  })

  test('of one turn share a sync, and each sees what those before it did', async () => {
    const disk = new CrashDisk()
    const metadata = openMetadata({ disk })
    await metadata.registerBroker(thisBroker)
    const syncs = disk.syncCount
    const answers = await Promise.all([create(metadata, 'a'), create(metadata, 'a'), create(metadata, 'b', 'c')])
    expect(answers.map((results) => results.map((result) => result.errorCode))).toEqual([[0], [36], [0, 0]])
    expect(disk.syncCount).toBe(syncs + 1)
  })

  test('a refusal waits for the records that it rests on', async () => {
    const disk = new CrashDisk()
    const metadata = openMetadata({ disk })
    await metadata.registerBroker(thisBroker)
    const order: string[] = []
    const first = create(metadata, 'a').then(() => order.push('created'))
    const second = create(metadata, 'a').then(() => order.push('exists'))
    await Promise.all([first, second])
    expect(order).toEqual(['created', 'exists'])
  })

  test('producer ids need a registration', async () => {
    expect(await openMetadata().allocateProducerIds()).toMatchObject({ code: 102 })
  })
})

describe('a disk that fails', () => {
  test('without room nothing changes, and later requests work', async () => {
    const disk = new CrashDisk()
    const metadata = openMetadata({ disk })
    await metadata.registerBroker(thisBroker)
    for (const afterBytes of [0, 10, 100]) {
      disk.nextWriteFailure = { code: 'DISK_FULL', afterBytes }
      await expect(Promise.all([create(metadata, 'a'), create(metadata, 'b')])).rejects.toMatchObject({
        code: 'DISK_FULL',
      })
      expect(metadata.image.topics.size).toBe(0)
    }
    expect((await create(metadata, 'a'))[0]?.errorCode).toBe(0)
    expect(openMetadata({ disk: disk.afterCrash(new SeededRandom(1)) }).image.topics.size).toBe(1)
  })

  test('a failed sync ends the node', async () => {
    const disk = new CrashDisk()
    const fatal: Error[] = []
    const metadata = openMetadata({ disk, onFatal: (error) => fatal.push(error) })
    disk.nextSyncFailure = 'DISK_IO'
    await expect(metadata.registerBroker(thisBroker)).rejects.toMatchObject({ code: 'METADATA_NOT_SYNCED' })
    expect(fatal).toHaveLength(1)
    await expect(create(metadata, 'a')).rejects.toMatchObject({ code: 'METADATA_CLOSED' })
    await metadata.close()
  })

  test('for good while the node stops is told, and the stop goes on', async () => {
    const disk = new CrashDisk()
    const fatal: Error[] = []
    const metadata = openMetadata({ disk, onFatal: (error) => fatal.push(error) })
    await metadata.registerBroker(thisBroker)
    disk.nextSyncFailure = 'DISK_IO'
    const creation = expect(create(metadata, 'a')).rejects.toMatchObject({ code: 'METADATA_NOT_SYNCED' })
    await metadata.close()
    await creation
    expect(fatal).toHaveLength(1)
  })

  test('without room does not stand in the way of a clean stop', async () => {
    for (const afterBytes of [0, 5]) {
      const disk = new CrashDisk()
      const warnings: string[] = []
      const logger: Logger = { ...silentLogger, warn: (message) => warnings.push(message) }
      const metadata = openMetadata({ disk, logger })
      await metadata.registerBroker(thisBroker)
      await create(metadata, 'a')
      disk.nextWriteFailure = { code: 'DISK_FULL', afterBytes }
      await metadata.close()
      expect(warnings).toEqual([expect.stringMatching(/could not be marked as clean/)])
      expect([...openMetadata({ disk }).image.topics.keys()]).toEqual(['a'])
    }
  })

  test('a snapshot without room is left for another time', async () => {
    const disk = new CrashDisk()
    const warnings: string[] = []
    const logger: Logger = { ...silentLogger, warn: (message) => warnings.push(message) }
    const metadata = openMetadata({ disk, logger, maxBytesBetweenSnapshots: 1 })
    disk.nextWriteFailure = { code: 'DISK_FULL', afterBytes: 10, path: `${JOURNAL}.tmp` }
    await metadata.registerBroker(thisBroker)
    for (let number = 0; number < 40; number++) expect((await create(metadata, `t${number}`))[0]?.errorCode).toBe(0)
    expect(warnings).toEqual([expect.stringMatching(/no snapshot could be written/)])
    await metadata.close()
    expect(openMetadata({ disk }).image.topics.size).toBe(40)
  })
})

describe('a snapshot that took the journal’s name and cannot be opened', () => {
  test('ends the node: what went to the old file, which has no name any more, would be lost', async () => {
    const disk = new CrashDisk()
    const fatal: Error[] = []
    const metadata = openMetadata({ disk, maxBytesBetweenSnapshots: 1, onFatal: (error) => fatal.push(error) })
    disk.nextOpenFailure = { code: 'DISK_OTHER', path: JOURNAL }
    const acknowledged: string[] = []
    await metadata.registerBroker(thisBroker)
    for (let number = 0; number < 40 && fatal.length === 0; number++) {
      const name = `t${number}`
      await create(metadata, name).then(
        () => acknowledged.push(name),
        () => undefined,
      )
    }
    expect(fatal).toMatchObject([{ code: 'METADATA_NOT_SYNCED' }])
    await expect(create(metadata, 'late')).rejects.toMatchObject({ code: 'METADATA_CLOSED' })
    const found = [...openMetadata({ disk: disk.afterCrash(new SeededRandom(1)) }).image.topics.keys()]
    expect(found).toEqual(expect.arrayContaining(acknowledged))
  })
})

describe('the journal', () => {
  test('is replaced by a snapshot when it has grown, with the offset kept', async () => {
    const disk = new CrashDisk()
    const metadata = openMetadata({ disk, maxBytesBetweenSnapshots: 4000 })
    await metadata.registerBroker(thisBroker)
    let largest = 0
    for (let number = 0; number < 300; number++) {
      await create(metadata, 'again')
      await metadata.deleteTopics([{ name: null, topicId: metadata.image.topics.get('again')!.id }])
      largest = Math.max(largest, disk.sizeOf(JOURNAL))
    }
    expect(largest).toBeLessThan(8000)
    const { offset } = metadata.image
    await metadata.close()
    expect(openMetadata({ disk }).image.offset).toBe(offset)
    expect(disk.listDirectory('data/metadata')).toEqual(['journal'])
  })

  test('an unfinished write at its end is cut off, with a warning', async () => {
    const disk = new CrashDisk()
    const metadata = openMetadata({ disk })
    await metadata.registerBroker(thisBroker)
    await create(metadata, 'a')
    const whole = disk.sizeOf(JOURNAL)
    await create(metadata, 'b')
    for (const size of [whole + 1, whole + 24, disk.sizeOf(JOURNAL) - 1]) {
      const copy = disk.afterCrash(new SeededRandom(1))
      copy.damage(JOURNAL, (data) => data.subarray(0, size))
      const warnings: string[] = []
      const reopened = openMetadata({
        disk: copy,
        logger: { ...silentLogger, warn: (message) => warnings.push(message) },
      })
      expect([...reopened.image.topics.keys()]).toEqual(['a'])
      expect(warnings).toHaveLength(1)
      expect(copy.sizeOf(JOURNAL)).toBe(whole)
      await reopened.registerBroker(thisBroker)
      await create(reopened, 'c')
      expect([...openMetadata({ disk: copy }).image.topics.keys()]).toEqual(['a', 'c'])
    }
  })

  test('damage to anything that was synced before the last write is refused, at any byte', async () => {
    const disk = new CrashDisk()
    const metadata = openMetadata({ disk })
    await metadata.registerBroker(thisBroker)
    await create(metadata, 'a')
    const synced = disk.sizeOf(JOURNAL)
    await create(metadata, 'b')
    for (let position = 0; position < synced; position += 7) {
      const copy = disk.afterCrash(new SeededRandom(1))
      copy.damage(JOURNAL, (data) => {
        data[position]! ^= 0x10
        return data
      })
      expect(() => openMetadata({ disk: copy }), `byte ${position}`).toThrow(MetadataStoreError)
    }
  })

  test('after a clean stop also damage to the last records is refused', async () => {
    const disk = new CrashDisk()
    const metadata = openMetadata({ disk })
    await metadata.registerBroker(thisBroker)
    const end = disk.sizeOf(JOURNAL)
    await metadata.close()
    disk.damage(JOURNAL, (data) => {
      data[end - 1]! ^= 1
      return data
    })
    expect(() => openMetadata({ disk })).toThrow(/damaged at byte/)
  })

  test('a format of another version is not guessed at', () => {
    const disk = new CrashDisk()
    openMetadata({ disk })
    disk.damage(JOURNAL, () => Buffer.alloc(0))
    expect(() => openMetadata({ disk })).toThrow(MetadataStoreError)
  })
})
