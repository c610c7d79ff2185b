import { parseArgs } from 'node:util'
import { Tally } from '../traces/tally.ts'
import { type Attack, nameOfAttack } from './attack.ts'
import { APPLIED_VARIABLE, DEFECT_VARIABLE } from './defect.ts'
import { runAttack } from './run-attack.ts'

/** Exit codes of a hunt. */
export const HUNT = { nothingFound: 0, found: 10, notApplied: 20 } as const

/** The last line that a hunt prints. */
export interface HuntReport {
  readonly recoveries: number
  /** What a check said, with what makes it happen again; null: every check held. */
  readonly failure: string | null
  /** By name, the one that showed it. */
  readonly attack: string | null
}

/** Every so many rounds the attacks that nobody named are tried as well, some of them. */
const GENERAL_INTERVAL = 3
const GENERAL_ATTACKS = 4

/**
 * Runs attacks in rounds until a check fails, in a process of its own whose storage may have a defect: the named ones in each round, some
 * of the general ones now and then. Prints the failure, and says by its exit code how it went.
 */
async function hunt(
  firstSeed: number,
  roundCount: number,
  named: readonly Attack[],
  general: readonly Attack[],
): Promise<number> {
  const tally = new Tally(1)
  process.on('unhandledRejection', (error) => {
    tally.failures.push(`unhandled rejection: ${error instanceof Error ? error.message : error}`)
  })
  let foundBy: string | null = null
  // Nothing is left to happen, and yet storage has not answered.
  let current = ''
  const onStuck = (): void => {
    print({
      recoveries: tally.figures.recoveries ?? 0,
      failure: 'storage never ended what it was doing',
      attack: current,
    })
    process.exit(wasApplied() ? HUNT.found : HUNT.notApplied)
  }
  process.once('beforeExit', onStuck)
  let generalCount = 0
  for (let round = 0; round < roundCount && foundBy === null; round++) {
    const attacks = [...named]
    for (let count = 0; round % GENERAL_INTERVAL === GENERAL_INTERVAL - 1 && count < GENERAL_ATTACKS; count++) {
      if (general.length > 0) attacks.push(general[generalCount++ % general.length]!)
    }
    for (const attack of attacks) {
      current = nameOfAttack(attack)
      await runAttack(attack, firstSeed + round, tally)
      // A broken promise is reported between turns of the loop.
      await new Promise((resolve) => setImmediate(resolve))
      if (!tally.isStopped) continue
      foundBy = current
      break
    }
  }
  process.off('beforeExit', onStuck)
  if (!wasApplied()) return HUNT.notApplied
  print({ recoveries: tally.figures.recoveries ?? 0, failure: tally.failures[0] ?? null, attack: foundBy })
  return foundBy === null ? HUNT.nothingFound : HUNT.found
}

/** The defect that this process was to run with, none included, is the one that was put in place. */
function wasApplied(): boolean {
  const { [DEFECT_VARIABLE]: wanted = '', [APPLIED_VARIABLE]: applied = '' } = process.env
  return applied === wanted
}

function print(report: HuntReport): void {
  console.log(JSON.stringify(report))
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      rounds: { type: 'string', default: '10' },
      named: { type: 'string', default: '[]' },
      general: { type: 'string', default: '[]' },
    },
  })
  const attacksOf = (text: string): Attack[] => JSON.parse(text) as Attack[]
  const { seed, rounds, named, general } = values
  process.exitCode = await hunt(Number(seed), Number(rounds), attacksOf(named), attacksOf(general))
}
