import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BaseError } from '@millrace/base'
import type { Command } from 'commander'
import type { CliContext } from '../command/cli-context.ts'
import { CliError, ExitCode } from '../command/cli-error.ts'
import { type CommandDefinition, type Dispatch, toCommand } from '../command/command-definition.ts'
import { type Row, renderData, toJsonLine, type Value } from '../io/output-format.ts'
import { printable } from '../io/printable.ts'
import { requireWhole } from '../options/numbers.ts'
import { DUMPABLE, dumpFile } from './dump-file.ts'
import type { DumpSink } from './dump-sink.ts'

interface CommandOptions {
  records?: boolean
  verify?: boolean
  summary?: boolean
  max?: string
}

const definition: CommandDefinition<CommandOptions> = {
  name: 'dump',
  arguments: [['<paths...>', 'files of a log, or directories with such files']],
  summary: 'Show and verify segment and index files on disk',
  description: `Reads .log, .index, .timeindex, .txnindex, .snapshot, leader-epoch-checkpoint and partition.metadata files, of Millrace
and of Kafka. Talks to no broker; files in use may be read. Checksums of batches are always checked: damaged ones are marked CORRUPT, in
JSON with "isValid": false and "problems". Exit code 3 if something is wrong with a file.`,
  options: [
    { flags: '-r, --records', description: 'print records, not only batches' },
    { flags: '--verify', description: 'also check records, order, and indexes against their segment' },
    { flags: '--summary', description: 'print only what each file has in all' },
    { flags: '--max <n>', description: 'end after n lines' },
  ],
  examples: [
    ['dump data/orders-0', 'all files of a partition'],
    ['dump data/orders-0/00000000000000000000.log -r --max 20', 'the first records'],
    ['dump data/orders-0 --verify --summary', 'is everything sound?'],
    ['dump data/orders-0 -r -o json | jq .value', 'as JSON, one object a line'],
  ],
  async run(context, paths, options) {
    const sink = new PrintingSink(
      context,
      options.summary === true,
      options.max === undefined ? Number.POSITIVE_INFINITY : requireWhole('--max', options.max, 1),
    )
    const files = paths.flatMap(filesOf)
    for (const file of files) {
      if (sink.isFull) break
      await sink.begin(file)
      await dumpOne(file, options, sink)
    }
    if (context.isInterrupted) return ExitCode.INTERRUPTED
    return sink.problemCount > 0 ? ExitCode.PARTIAL : ExitCode.OK
  },
}

/** `millrace dump`. */
export function dumpCommand(dispatch: Dispatch): Command {
  return toCommand(definition, dispatch)
}

async function dumpOne(file: string, options: CommandOptions, sink: PrintingSink): Promise<void> {
  try {
    await dumpFile(
      file,
      { records: options.records === true, verify: options.verify === true, summaryOnly: options.summary === true },
      sink,
    )
  } catch (error) {
    // What is wrong with a file does not keep the others from being looked at.
    const isOfFile = error instanceof BaseError || typeof (error as NodeJS.ErrnoException).errno === 'number'
    if (!isOfFile) throw error
    await sink.problem(file, 0, (error as Error).message)
  }
}

function filesOf(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path]
    const names = readdirSync(path).filter((name) => DUMPABLE.test(name))
    if (names.length === 0) {
      throw new CliError(`${path}: no files of a log in there`, {
        hint: 'Name the directory of a partition, for example millrace-data/orders-0.',
      })
    }
    return names.sort().map((name) => join(path, name))
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      cause: error,
    })
  }
}

/** A batch may have a megabyte, whose checksum takes a millisecond. */
const STEPS_PER_TURN = 64

/** Prints as it goes: text lines of `name value` pairs, one JSON object a line, or a stream of YAML documents. */
class PrintingSink implements DumpSink {
  problemCount = 0
  #stepCount = 0
  readonly #context: CliContext
  readonly #onlySummaries: boolean
  #left: number

  constructor(context: CliContext, onlySummaries: boolean, maxCount: number) {
    this.#context = context
    this.#onlySummaries = onlySummaries
    this.#left = maxCount
  }

  get isFull(): boolean {
    return this.#left <= 0 || this.#context.io.signal.aborted
  }

  async begin(file: string): Promise<void> {
    if (this.#context.options.output === 'table') await this.#context.io.stdout.write(`${file}\n`)
  }

  async step(): Promise<boolean> {
    const { io } = this.#context
    // Files are read without waiting: nothing else would let a signal through.
    if (++this.#stepCount % STEPS_PER_TURN === 0) await io.turn()
    return !io.signal.aborted
  }

  async row(kind: string, row: Row): Promise<boolean> {
    if (this.#onlySummaries) return true
    if (this.isFull) return false
    this.#left--
    await this.#print(kind, row)
    return !this.isFull
  }

  summary(row: Row): Promise<void> {
    return this.#print('file', row)
  }

  async problem(path: string, position: number, text: string): Promise<void> {
    this.problemCount++
    await this.#context.note(`millrace: ${path}, position ${position}: ${text}`)
  }

  async #print(kind: string, row: Row): Promise<void> {
    const { stdout } = this.#context.io
    const { output } = this.#context.options
    if (output === 'json') await stdout.write(`${toJsonLine({ kind, ...row })}\n`)
    else if (output === 'yaml') await stdout.write(`---\n${renderData({ kind, ...row }, 'yaml')}`)
    else await stdout.write(`${kind === 'record' ? '    ' : '  '}${textOf(kind, row)}\n`)
  }
}

function textOf(kind: string, row: Row): string {
  if (kind === 'line') return printable(String(row.text))
  const { file: _, isValid, problems, ...rest } = row
  const fields = Object.entries(rest).map(([name, value]) => `${name} ${shown(value)}`)
  const mark = isValid === false ? 'CORRUPT ' : ''
  const reasons = Array.isArray(problems) ? `  (${problems.join('; ')})` : ''
  return `${mark}${kind === 'file' ? 'total:' : kind} ${fields.join('  ')}${reasons}`
}

function shown(value: Value): string {
  if (value === null) return '-'
  // Control characters in records must not reach the terminal as such.
  if (typeof value === 'string') return /[\p{Cc}\p{Cf}\ufffd]/u.test(value) ? printable(JSON.stringify(value)) : value
  return typeof value === 'object' ? printable(toJsonLine(value)) : String(value)
}
