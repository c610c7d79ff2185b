import { SimulatedDisk, ZERO_UUID } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { PARTITION_METADATA_FILE } from './file-names.ts'
import { encodePartitionMetadata, readPartitionMetadata, UnwrittenMetadataError } from './partition-metadata.ts'
import { fill, open, overwriteFile } from './testing/log-driver.ts'
import { CorruptFileError } from './text-checkpoint.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ' as typeof ZERO_UUID

function read(contents: Buffer | null): string {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/t-0')
  if (contents !== null) {
    const file = disk.openFile(`/t-0/${PARTITION_METADATA_FILE}`, { create: true })
    file.write(contents, 0, contents.length, 0)
    file.close()
  }
  return readPartitionMetadata(disk, '/t-0')
}

describe('partition.metadata', () => {
  it('names the topic id', () => {
    expect(read(encodePartitionMetadata(TOPIC_ID))).toBe(TOPIC_ID)
  })

  it('is the zero id where the file is absent or empty', () => {
    expect(read(null)).toBe(ZERO_UUID)
    expect(read(Buffer.alloc(0))).toBe(ZERO_UUID)
  })

  it('tells what a crash left unwritten from damage', () => {
    expect(() => read(Buffer.alloc(45))).toThrow(UnwrittenMetadataError)
    for (let sizeBytes = 1; sizeBytes < 43; sizeBytes++) {
      expect(() => read(encodePartitionMetadata(TOPIC_ID).subarray(0, sizeBytes))).toThrow(UnwrittenMetadataError)
    }
    const damaged = encodePartitionMetadata(TOPIC_ID)
    damaged[12]! ^= 0x80
    expect(() => read(damaged)).toThrow(CorruptFileError)
    expect(() => read(damaged)).not.toThrow(UnwrittenMetadataError)
    expect(() => read(encodePartitionMetadata(ZERO_UUID))).toThrow('no topic id')
  })
})

describe('partition.metadata of a later version', () => {
  it('is not made unreadable when the log is synced for the first time', async () => {
    const disk = new SimulatedDisk()
    const opened = await open(disk)
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    await fill(opened, log, 5)
    const killed = disk.killed().copy()
    // The mark does not know the log: its names are synced once more.
    killed.removeFile('/data/durable-mark')
    const later = Buffer.from(`version: 2147483647\ntopic_id: ${TOPIC_ID}`)
    overwriteFile(killed, `/data/topic-0/${PARTITION_METADATA_FILE}`, later)
    const again = await open(killed)
    await fill(again, again.manager.log('topic', 0)!, 6)
    expect(killed.peek(`/data/topic-0/${PARTITION_METADATA_FILE}`)).toEqual(later)
    await again.manager.shutdown()
    const last = await open(killed)
    expect(last.manager.log('topic', 0)?.logEndOffset).toBe(6)
    await last.manager.shutdown()
  })
})
