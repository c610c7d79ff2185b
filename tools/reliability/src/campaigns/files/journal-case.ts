import { BaseError, SeededRandom, SimulatedDisk } from '@millrace/base'
import { type LocalMetadata, newTopic, openMetadata, thisBroker } from '@millrace/broker/testing'
import type { CaseResult } from './log-case.ts'
import { mutateFile } from './mutate-file.ts'
import { overwriteFile } from './simulated-files.ts'

const DIRECTORY = '/data/metadata'
const PATH = `${DIRECTORY}/journal`
/** Small, so that the good journal has a snapshot and records behind it. */
const SNAPSHOT_BYTES = 2500
/** How a frame begins: these, and the size of what follows its 24 bytes of header. */
const FRAME_MAGIC = Buffer.from('MMJ1', 'latin1')
const FRAME_HEADER_BYTES = 24

/** Something that the metadata was. */
interface GoodState {
  readonly text: string
  /** How much of the final file tells of it; null if a snapshot has replaced what told of it. */
  readonly sizeBytes: number | null
}

/** A journal of metadata that nothing is wrong with. */
export interface GoodJournal {
  readonly disk: SimulatedDisk
  readonly contents: Buffer
  readonly older: Buffer
  /** All that the metadata was, in this order. */
  readonly states: readonly GoodState[]
}

/** A journal with a snapshot, topics that came, grew and went, and settings. */
export async function makeGoodJournal(stop: 'cleanly' | 'by a kill'): Promise<GoodJournal> {
  const disk = new SimulatedDisk()
  const metadata = open(disk)
  await metadata.registerBroker(thisBroker)
  const taken: { text: string; contents: Buffer }[] = []
  for (let number = 0; number < 12; number++) {
    const numPartitions = 1 + (number % 3)
    await metadata.createTopics({ topics: [newTopic(`topic-${number}`, { numPartitions })], validateOnly: false })
    taken.push({ text: stateOf(metadata), contents: disk.readFile(PATH) })
  }
  if (stop === 'cleanly') await metadata.close()
  const contents = disk.readFile(PATH)
  const states = taken.map(({ text, contents: then }) => {
    const isPrefix = contents.subarray(0, then.length).equals(then)
    return { text, sizeBytes: isPrefix ? then.length : null }
  })
  return { disk: disk.killed(), contents, older: taken[5]!.contents, states }
}

/** `seed`: another for each life, or new topics would get the ids of old ones. */
function open(disk: SimulatedDisk, seed = 1): LocalMetadata {
  const random = new SeededRandom(seed)
  return openMetadata({ disk, directory: DIRECTORY, random, maxBytesBetweenSnapshots: SNAPSHOT_BYTES })
}

function stateOf(metadata: LocalMetadata): string {
  const { image } = metadata
  return JSON.stringify([
    image.clusterId,
    image.offset,
    Array.from(image.topics.values(), ({ name, id, partitions }) => [name, id, partitions]),
  ])
}

/**
 * What is wrong with a damaged journal that gave this state, or null. It must be one that the metadata was. What was whole before the
 * first damage is not lost; and where a frame is still whole behind it, the damage is no torn end: the journal gives all, or nothing.
 */
export function journalComplaint({ contents, states }: GoodJournal, mutated: Buffer, state: string): string | null {
  const found = states.findLastIndex(({ text }) => text === state)
  if (found < 0) return 'the metadata is what it never was'
  const damage = firstDifference(contents, mutated)
  const least = states.findLastIndex(({ sizeBytes }) => sizeBytes !== null && sizeBytes <= damage)
  if (found < least) return `${least - found} changes are lost that were whole before byte ${damage}`
  if (found === states.length - 1) return null
  const whole = framesOf(contents).find(({ start, bytes }) => start > damage && mutated.includes(bytes))
  return whole === undefined ? null : `damage at byte ${damage} was taken for a torn end, before a whole frame`
}

function firstDifference(left: Buffer, right: Buffer): number {
  const end = Math.min(left.length, right.length)
  for (let at = 0; at < end; at++) if (left[at] !== right[at]) return at
  return end
}

function framesOf(contents: Buffer): { start: number; bytes: Buffer }[] {
  const frames: { start: number; bytes: Buffer }[] = []
  for (let start = 0; start + FRAME_HEADER_BYTES <= contents.length; ) {
    if (!contents.subarray(start, start + FRAME_MAGIC.length).equals(FRAME_MAGIC))
      throw new Error(`the good journal has no frame at ${start}`)
    const end = start + FRAME_HEADER_BYTES + contents.readUInt32BE(start + FRAME_MAGIC.length)
    frames.push({ start, bytes: contents.subarray(start, end) })
    start = end
  }
  return frames
}

/** Damages a good journal and opens it: what it gives is what it was, as far as that is undamaged, or it is refused with its path. */
export async function runJournalCase(good: GoodJournal, seed: number): Promise<CaseResult> {
  const random = new SeededRandom(seed)
  const disk = good.disk.killed().copy()
  const { contents, older } = good
  const foreign = random.uint32() % 2 === 0 ? older : Buffer.concat([contents, contents])
  const mutated = mutateFile(contents, { older, foreign }, random)
  const complaints: string[] = []
  if (mutated === null) disk.removeFile(PATH)
  else overwriteFile(disk, PATH, mutated)
  let refused = false
  try {
    const metadata = open(disk, 2)
    // Without the file the cluster begins anew, with another id: whoever starts it compares that with the log directories.
    const complaint = mutated === null ? null : journalComplaint(good, mutated, stateOf(metadata))
    if (complaint !== null) complaints.push(complaint)
    complaints.push(...(await goOn(disk, metadata)))
  } catch (error) {
    refused = true
    if (!(error instanceof BaseError) || !error.message.includes(PATH)) complaints.push(`threw ${String(error)}`)
    if (mutated !== null && !disk.readFile(PATH).equals(mutated)) complaints.push('a refused journal was changed')
  }
  return { fileCount: mutated?.equals(contents) === true ? 0 : 1, complaints, paths: [PATH], refused }
}

/** Metadata that was opened takes a change, which is there after the next start. */
async function goOn(disk: SimulatedDisk, metadata: LocalMetadata): Promise<string[]> {
  // As each start does.
  await metadata.registerBroker(thisBroker)
  const [result] = await metadata.createTopics({ topics: [newTopic('goes-on')], validateOnly: false })
  const state = stateOf(metadata)
  await metadata.close()
  if (result?.errorCode !== 0) return [`a topic could not be made: error ${result?.errorCode}`]
  const reopened = open(disk, 3)
  const complaints = stateOf(reopened) === state ? [] : ['a change is gone after the next start']
  await reopened.close()
  return complaints
}
