import { SeededRandom } from '@millrace/base'
import {
  checkDamagedNote,
  InvariantError,
  isNotePoint,
  type MovePoint,
  MoveWorkload,
  NOTE_PATHS,
} from '@millrace/storage/testing'
import type { CaseResult } from './log-case.ts'
import { mutateFile } from './mutate-file.ts'
import { overwriteFile } from './simulated-files.ts'

const WORKLOAD_SEEDS = 8
const POINTS_PER_SEED = 24
const MUTATION_TRIES = 20
/** A step that gives a log another name. */
const RENAMED_LOG = /^rename \/[ab]\/topic-0[^/]*$/

/** Moments at which a log is being moved, or was, between two directories, and a note of it stands in one. */
export interface GoodMoves {
  readonly points: readonly MovePoint[]
  /** All that such notes held. */
  readonly notes: readonly Buffer[]
}

/** Kills of a process that moves a log to and fro, where a move has left its note. */
export async function makeGoodMoves(): Promise<GoodMoves> {
  const points: MovePoint[] = []
  for (let seed = 1; seed <= WORKLOAD_SEEDS; seed++) {
    const workload = new MoveWorkload({ seed, stepCount: 250, crashShare: 1, disk: { mapping: true } })
    await workload.run()
    const found = workload.points.filter(isNotePoint)
    const share = Math.max(1, Math.floor(found.length / POINTS_PER_SEED))
    // Amid an exchange there are two logs, or none, for a change or two.
    points.push(...found.filter(({ step }, number) => number % share === 0 || RENAMED_LOG.test(step)))
  }
  const held = points.flatMap(({ disk }) =>
    NOTE_PATHS.filter((path) => disk.stat(path) !== null).map((path) => disk.readFile(path)),
  )
  const notes = new Map(held.map((contents) => [contents.toString('latin1'), contents]))
  return { points, notes: [...notes.values()] }
}

/** Damages the notes of moves, one or all, or puts other ones in their place, and starts. */
export async function runMoveCase({ points, notes }: GoodMoves, seed: number): Promise<CaseResult> {
  const random = new SeededRandom(seed)
  const draw = (count: number): number => random.uint32() % count
  const { disk: good, expected } = points[draw(points.length)]!
  const disk = good.fork()
  const present = NOTE_PATHS.filter((path) => disk.stat(path) !== null)
  const paths: string[] = []
  let isOldNote = false
  for (const path of present.length === 1 || draw(3) === 0 ? present : [present[draw(present.length)]!]) {
    const contents = disk.readFile(path)
    const other = { older: notes[draw(notes.length)]!, foreign: notes[draw(notes.length)]! }
    let mutated = mutateFile(contents, other, random)
    for (let tries = 1; tries < MUTATION_TRIES && mutated?.equals(contents) === true; tries++)
      mutated = mutateFile(contents, other, random)
    if (mutated?.equals(contents) === true) continue
    isOldNote ||= notes.some((note) => mutated?.equals(note) === true)
    if (mutated === null) disk.removeFile(path)
    else overwriteFile(disk, path, mutated)
    paths.push(path)
  }
  try {
    return { fileCount: paths.length, complaints: [], paths, refused: await checkDamagedNote(disk, expected) }
  } catch (error) {
    // A note of another time is as good as the right one to whoever reads it; what it says is done.
    if (isOldNote && error instanceof InvariantError)
      return { fileCount: paths.length, complaints: [], paths, refused: false }
    const told =
      error instanceof InvariantError ? error.message : `threw ${error instanceof Error ? error.stack : error}`
    return { fileCount: paths.length, complaints: [told], paths, refused: false }
  }
}
