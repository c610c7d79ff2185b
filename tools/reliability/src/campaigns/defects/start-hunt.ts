import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Attack } from './attack.ts'
import { DEFECT_VARIABLE, type Defect } from './defect.ts'
import { HUNT, type HuntReport } from './hunt.ts'

/** What a hunt found. `broken`: it could not be run to its end, which proves nothing. */
export interface Hunted {
  readonly kind: 'found' | 'not found' | 'broken'
  readonly recoveryCount: number
  readonly seconds: number
  /** The invariant whose check failed; `-` if it was an assertion, or a broken promise. */
  readonly invariant: string
  /** The attack that showed it. */
  readonly attack: string
  readonly reason: string
}

export interface HuntOptions {
  readonly seed: number
  readonly rounds: number
  readonly named: readonly Attack[]
  readonly general: readonly Attack[]
  readonly signal: AbortSignal
  readonly msMax?: number
}

/** A defect that makes storage loop for ever could not be told from a slow machine: none does. */
const HUNT_MS_MAX = 600_000

/** Hunts a defect in a process of its own; null: the sound storage, in which nothing must be found. */
export function startHunt(
  defect: Defect | null,
  { seed, rounds, named, general, signal, msMax = HUNT_MS_MAX }: HuntOptions,
): Promise<Hunted> {
  const script = join(import.meta.dirname, 'hunt.ts')
  const hook = join(import.meta.dirname, 'replace-source.ts')
  const numbers = ['--seed', String(seed), '--rounds', String(rounds)]
  const attacks = ['--named', JSON.stringify(named), '--general', JSON.stringify(general)]
  const startMs = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', hook, script, ...numbers, ...attacks], {
      env: { ...process.env, [DEFECT_VARIABLE]: defect?.name ?? '' },
      signal,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: msMax,
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
      if (!signal.aborted) reject(error)
    })
    child.on('close', (code, killedBy) => {
      const seconds = (performance.now() - startMs) / 1000
      resolve(huntedOf(code, output, `the hunt ended with ${code ?? killedBy}: ${errors}`, seconds))
    })
  })
}

/** What the output and the exit code of a hunt say. */
export function huntedOf(code: number | null, output: string, ending: string, seconds: number): Hunted {
  const nothing = { recoveryCount: 0, seconds, invariant: '-', attack: '-' }
  if (code !== HUNT.found && code !== HUNT.nothingFound) return { ...nothing, kind: 'broken', reason: ending }
  const { recoveries, failure, attack } = JSON.parse(output.trim().split('\n').at(-1) ?? '') as HuntReport
  return {
    kind: code === HUNT.found ? 'found' : 'not found',
    recoveryCount: recoveries,
    seconds,
    invariant: /\bS\d+(?=: )/.exec(failure ?? '')?.[0] ?? '-',
    attack: attack ?? '-',
    reason: failure ?? `${recoveries} recoveries were well`,
  }
}
