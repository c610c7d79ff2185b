import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { places, requirePlace } from './places.ts'

export interface JavaProgram {
  /** Its file, which has the name of its class. Others in the same folder are compiled with it. */
  readonly source: string
  readonly className: string
  /** Folder with all that it needs. */
  readonly jars: string
}

/** The command line of a program of ours in Java, compiled if need be. */
export function javaProgram({ source, className, jars }: JavaProgram, args: readonly string[]): string[] {
  const log = `-Dlog4j2.configurationFile=${join(places.root, 'e2e/peers/log4j2.properties')}`
  const path = `${compiledJava(source, requirePlace(jars))}:${jars}/*`
  return ['java', '-Xmx256m', '-XX:+UseSerialGC', log, '-cp', path, className, ...args]
}

/** The folder with the classes of a source, which is compiled once for each of its versions, beside the jars that it needs. */
function compiledJava(source: string, jars: string): string {
  const folder = dirname(source)
  const names = readdirSync(folder).filter((name) => name.endsWith('.java'))
  const sources = names.sort().map((name) => join(folder, name))
  const hash = createHash('sha256')
  for (const path of sources) hash.update(readFileSync(path))
  const version = hash.digest('hex').slice(0, 16)
  const classes = join(dirname(jars), 'chaos-classes', version)
  if (existsSync(classes)) return classes
  const part = `${classes}.${process.pid}`
  mkdirSync(part, { recursive: true })
  execFileSync('javac', ['-nowarn', '-Xlint:none', '-cp', `${jars}/*`, '-d', part, ...sources], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  try {
    renameSync(part, classes)
  } catch (error) {
    rmSync(part, { recursive: true })
    // Another run has compiled the same meanwhile.
    if (!existsSync(classes)) throw error
  }
  return classes
}
