import { BaseError, SeededRandom, SimulatedDisk } from '@millrace/base'
import { type LocalMetadata, newTopic, openMetadata, thisBroker } from '@millrace/broker/testing'
import type { CaseResult } from './log-case.ts'
import { mutateFile } from './mutate-file.ts'
import { overwriteFile } from './simulated-files.ts'

const DIRECTORY = '/data/metadata'
const PATH = `${DIRECTORY}/journal`
/** Small, so that the good journal has a snapshot and records behind it. */
const SNAPSHOT_BYTES = 2500

/** A journal of metadata that nothing is wrong with. */
export interface GoodJournal {
  readonly disk: SimulatedDisk
  readonly older: Buffer
  /** All that the metadata was, in this order: what a journal that lost its end may give. */
  readonly states: readonly string[]
}

/** A journal with a snapshot, topics that came, grew and went, and settings. */
export async function makeGoodJournal(stop: 'cleanly' | 'by a kill'): Promise<GoodJournal> {
  const disk = new SimulatedDisk()
  const metadata = open(disk)
  await metadata.registerBroker(thisBroker)
  const states: string[] = []
  let older: Buffer = Buffer.alloc(0)
  for (let number = 0; number < 12; number++) {
    const numPartitions = 1 + (number % 3)
    await metadata.createTopics({ topics: [newTopic(`topic-${number}`, { numPartitions })], validateOnly: false })
    states.push(stateOf(metadata))
    if (number === 5) older = disk.readFile(PATH)
  }
  if (stop === 'cleanly') await metadata.close()
  return { disk: disk.killed(), older, states }
}

function open(disk: SimulatedDisk): LocalMetadata {
  return openMetadata({ disk, directory: DIRECTORY, maxBytesBetweenSnapshots: SNAPSHOT_BYTES })
}

function stateOf(metadata: LocalMetadata): string {
  const { image } = metadata
  return JSON.stringify([
    image.clusterId,
    image.offset,
    Array.from(image.topics.values(), ({ name, id, partitions }) => [name, id, partitions]),
  ])
}

/** Damages a good journal and opens it: what it gives is what it was, or was before its last write, or it is refused with its path. */
export async function runJournalCase(good: GoodJournal, seed: number): Promise<CaseResult> {
  const random = new SeededRandom(seed)
  const disk = good.disk.killed().copy()
  const contents = disk.readFile(PATH)
  const foreign = random.uint32() % 2 === 0 ? good.older : Buffer.concat([contents, contents])
  const mutated = mutateFile(contents, { older: good.older, foreign }, random)
  const complaints: string[] = []
  if (mutated === null) disk.removeFile(PATH)
  else overwriteFile(disk, PATH, mutated)
  let refused = false
  try {
    const metadata = open(disk)
    // Without the file the cluster begins anew, with another id: whoever starts it compares that with the log directories.
    if (mutated !== null && !good.states.includes(stateOf(metadata)))
      complaints.push('the metadata is what it never was')
    await metadata.close()
  } catch (error) {
    refused = true
    if (!(error instanceof BaseError) || !error.message.includes(PATH)) complaints.push(`threw ${String(error)}`)
    if (mutated !== null && !disk.readFile(PATH).equals(mutated)) complaints.push('a refused journal was changed')
  }
  return { fileCount: 1, complaints, paths: [PATH], refused }
}
