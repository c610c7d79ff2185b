import { SimulatedDisk, ZERO_UUID } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { PARTITION_METADATA_FILE } from './file-names.ts'
import { encodePartitionMetadata, readPartitionMetadata, UnwrittenMetadataError } from './partition-metadata.ts'
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
