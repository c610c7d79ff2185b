import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { SeededRandom } from '@millrace/base'
import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { DEFECT_VARIABLE, type Defect } from './defect.ts'
import { defects, quickDefects } from './defects.ts'
import { HUNT } from './hunt.ts'

/** A defect that makes storage loop for ever would be a find that cannot be told from a slow machine: none does. */
const HUNT_MS_MAX = 900_000

export const defectsCampaign: Campaign = {
  name: 'defects',
  summary: 'deliberate mistakes in storage, each of which the checks of `traces` must find',
  sizes: {
    ci: { defects: 4, rounds: 30 },
    full: { defects: defects.length, rounds: 100 },
  },
  run,
}

interface Hunt {
  kind: 'found' | 'not found' | 'broken'
  recoveryCount: number
  reason: string
}

async function run({ size, seed, signal, progress, report }: CampaignContext): Promise<CampaignResult> {
  const { defects: count = 0, rounds = 0 } = size
  const chosen = choose(count, seed)
  const failures: string[] = []
  const figures = { caughtDefects: 0, mostRecoveries: 0, soundRecoveries: 0 }
  for (const [number, defect] of chosen.entries()) {
    if (signal.aborted) break
    const { kind, recoveryCount, reason } = await hunt(defect, seed, rounds, signal)
    progress(number + 1, chosen.length + 1)
    if (signal.aborted) break
    if (kind === 'found') {
      figures.caughtDefects++
      figures.mostRecoveries = Math.max(figures.mostRecoveries, recoveryCount)
      report(`"${defect.name}" caught after ${recoveryCount} recoveries: ${reason}`)
    } else {
      failures.push(`"${defect.name}" was ${kind}: ${reason}`)
    }
  }
  if (!signal.aborted) {
    // What finds something in sound storage would prove nothing.
    const sound = await hunt(null, seed, Math.min(rounds, SOUND_ROUNDS), signal)
    if (sound.kind === 'not found') figures.soundRecoveries = sound.recoveryCount
    else failures.push(`without a defect: ${sound.reason}`)
    progress(chosen.length + 1, chosen.length + 1)
  }
  return { passedCount: figures.caughtDefects, failures, figures }
}

const SOUND_ROUNDS = 5

/** Others for each seed, and quick ones, unless all are wanted. */
function choose(count: number, seed: number): readonly Defect[] {
  if (count > quickDefects.length) return defects
  const random = new SeededRandom(seed)
  const left = [...quickDefects]
  return Array.from({ length: count }, () => left.splice(random.uint32() % left.length, 1)[0]!)
}

function hunt(defect: Defect | null, seed: number, rounds: number, signal: AbortSignal): Promise<Hunt> {
  const script = join(import.meta.dirname, 'hunt.ts')
  const hook = join(import.meta.dirname, 'replace-source.ts')
  const args = ['--import', hook, script, '--seed', String(seed), '--rounds', String(rounds)]
  const env = { ...process.env, [DEFECT_VARIABLE]: defect?.name ?? '' }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      env,
      signal,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: HUNT_MS_MAX,
    })
    let output = ''
    let errors = ''
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
    child.stderr.on('data', (bytes: Buffer) => {
      errors = (errors + bytes.toString()).slice(-4000)
    })
    child.on('error', (error) => {
      if (signal.aborted) resolve({ kind: 'broken', recoveryCount: 0, reason: 'stopped' })
      else reject(error)
    })
    child.on('close', (code, killedBy) => resolve(outcomeOf(code, killedBy, output, errors)))
  })
}

function outcomeOf(code: number | null, killedBy: string | null, output: string, errors: string): Hunt {
  if (code !== HUNT.found && code !== HUNT.nothingFound) {
    return { kind: 'broken', recoveryCount: 0, reason: `the hunt ended with ${code ?? killedBy}: ${errors}` }
  }
  const last = JSON.parse(output.trim().split('\n').at(-1) ?? '') as { recoveries: number; failure: string | null }
  const kind = code === HUNT.found ? 'found' : 'not found'
  return { kind, recoveryCount: last.recoveries, reason: last.failure ?? `${last.recoveries} recoveries were well` }
}
