import { BaseError } from '@millrace/base'

/** What is no regular expression, or one that is not supported. */
export class PatternError extends BaseError {
  constructor(message: string) {
    super('INVALID_PATTERN', message)
  }
}

/** Steps of a program: of a sensible pattern some hundred. Each is looked at once per character of what is matched. */
const MAX_PROGRAM_LENGTH = 500
const MAX_REPETITION = 1_000

type Matches = (unit: number) => boolean

type Instruction =
  | { readonly kind: 'unit'; readonly matches: Matches }
  | { readonly kind: 'split'; first: number; second: number }
  | { readonly kind: 'jump'; to: number }
  | { readonly kind: 'begin' | 'end' | 'match' }

/**
 * A regular expression of a client, matched against whole texts in time linear in both: Kafka uses RE2 for these, whose syntax this is a
 * part of; JavaScript's own can take for ever, and the loop with it. Literals, `.`, classes, `\d \w \s`, groups, `|`, `* + ?` and `{n,m}`,
 * `^` and `$`.
 */
export class LinearPattern {
  readonly #program: Instruction[] = []

  /** Throws {@link PatternError}. */
  constructor(pattern: string) {
    const parser = new PatternParser(pattern)
    const node = parser.parse()
    this.#compile(node)
    this.#emit({ kind: 'match' })
  }

  /** Whether all of the text is matched. */
  matches(text: string): boolean {
    let states = new Set<number>()
    this.#follow(0, 0, text.length, states)
    for (let position = 0; position < text.length; position++) {
      const unit = text.charCodeAt(position)
      const next = new Set<number>()
      for (const state of states) {
        const instruction = this.#program[state]!
        if (instruction.kind === 'unit' && instruction.matches(unit)) {
          this.#follow(state + 1, position + 1, text.length, next)
        }
      }
      if (next.size === 0) return false
      states = next
    }
    for (const state of states) if (this.#program[state]!.kind === 'match') return true
    return false
  }

  /** Adds all states that are reached from one without a character. */
  #follow(start: number, position: number, length: number, states: Set<number>): void {
    const stack = [start]
    while (stack.length > 0) {
      const state = stack.pop()!
      if (states.has(state)) continue
      states.add(state)
      const instruction = this.#program[state]!
      if (instruction.kind === 'jump') stack.push(instruction.to)
      else if (instruction.kind === 'split') stack.push(instruction.first, instruction.second)
      else if (instruction.kind === 'begin' && position === 0) stack.push(state + 1)
      else if (instruction.kind === 'end' && position === length) stack.push(state + 1)
    }
  }

  #emit<Emitted extends Instruction>(instruction: Emitted): Emitted {
    if (this.#program.length >= MAX_PROGRAM_LENGTH) throw new PatternError('the pattern is too large')
    this.#program.push(instruction)
    return instruction
  }

  #compile(node: Node): void {
    switch (node.kind) {
      case 'unit':
        this.#emit({ kind: 'unit', matches: node.matches })
        return
      case 'begin':
      case 'end':
        this.#emit({ kind: node.kind })
        return
      case 'sequence':
        for (const part of node.parts) this.#compile(part)
        return
      case 'choice':
        this.#compileChoice(node.parts)
        return
      case 'repeat':
        this.#compileRepeat(node)
    }
  }

  #compileChoice(parts: readonly Node[]): void {
    const jumps: { to: number }[] = []
    for (const [slot, part] of parts.entries()) {
      if (slot === parts.length - 1) {
        this.#compile(part)
        break
      }
      const split = this.#emit({ kind: 'split', first: this.#program.length + 1, second: 0 })
      this.#compile(part)
      jumps.push(this.#emit({ kind: 'jump', to: 0 }))
      split.second = this.#program.length
    }
    for (const jump of jumps) jump.to = this.#program.length
  }

  #compileRepeat({ part, least, most }: Extract<Node, { kind: 'repeat' }>): void {
    for (let count = 0; count < least; count++) this.#compile(part)
    if (most === Number.POSITIVE_INFINITY) {
      const split = this.#emit({ kind: 'split', first: this.#program.length + 1, second: 0 })
      const start = this.#program.length - 1
      this.#compile(part)
      this.#emit({ kind: 'jump', to: start })
      split.second = this.#program.length
      return
    }
    const splits = []
    for (let count = least; count < most; count++) {
      splits.push(this.#emit({ kind: 'split', first: this.#program.length + 1, second: 0 }))
      this.#compile(part)
    }
    for (const split of splits) split.second = this.#program.length
  }
}

type Node =
  | { readonly kind: 'unit'; readonly matches: Matches }
  | { readonly kind: 'begin' | 'end' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly least: number; readonly most: number }

const MAX_DEPTH = 100
const QUANTIFIER = /^\{(\d{1,4})(,(\d{0,4}))?\}/

class PatternParser {
  readonly #text: string
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
  }

  parse(): Node {
    const node = this.#choice()
    if (this.#at < this.#text.length) throw new PatternError('unexpected )')
    return node
  }

  #choice(): Node {
    if (++this.#depth > MAX_DEPTH) throw new PatternError('groups are nested too deeply')
    const parts = [this.#sequence()]
    while (this.#take('|')) parts.push(this.#sequence())
    this.#depth--
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts }
  }

  #sequence(): Node {
    const parts: Node[] = []
    while (this.#at < this.#text.length && this.#peek() !== '|' && this.#peek() !== ')') parts.push(this.#repeated())
    return { kind: 'sequence', parts }
  }

  #repeated(): Node {
    let part = this.#atom()
    for (let isFirst = true; ; isFirst = false) {
      const bounds = this.#quantifier()
      if (bounds === null) return part
      if (!isFirst) throw new PatternError('a repetition of a repetition')
      // Whether it takes more or less makes no difference to whether all is matched.
      this.#take('?')
      part = { kind: 'repeat', part, ...bounds }
    }
  }

  #quantifier(): { least: number; most: number } | null {
    if (this.#take('*')) return { least: 0, most: Number.POSITIVE_INFINITY }
    if (this.#take('+')) return { least: 1, most: Number.POSITIVE_INFINITY }
    if (this.#take('?')) return { least: 0, most: 1 }
    const found = QUANTIFIER.exec(this.#text.slice(this.#at, this.#at + 12))
    if (found === null) return null
    this.#at += found[0].length
    const least = Number(found[1])
    const most = found[2] === undefined ? least : found[3] === '' ? Number.POSITIVE_INFINITY : Number(found[3])
    if (least > most || least > MAX_REPETITION || (most > MAX_REPETITION && most !== Number.POSITIVE_INFINITY)) {
      throw new PatternError('wrong bounds of a repetition')
    }
    return { least, most }
  }

  #atom(): Node {
    const character = this.#next()
    switch (character) {
      case '.':
        return { kind: 'unit', matches: (unit) => unit !== 10 }
      case '^':
        return { kind: 'begin' }
      case '$':
        return { kind: 'end' }
      case '(':
        return this.#group()
      case '[':
        return { kind: 'unit', matches: this.#class() }
      case '\\':
        return { kind: 'unit', matches: this.#escape() }
      case '*':
      case '+':
      case '?':
        throw new PatternError('a repetition of nothing')
      default:
        return { kind: 'unit', matches: equals(character.charCodeAt(0)) }
    }
  }

  #group(): Node {
    if (this.#take('?')) {
      const name = /^(?::|P?<[A-Za-z_][A-Za-z0-9_]*>)/.exec(this.#text.slice(this.#at, this.#at + 100))
      if (name === null) throw new PatternError('an unknown kind of group')
      this.#at += name[0].length
    }
    const node = this.#choice()
    if (!this.#take(')')) throw new PatternError('a group without an end')
    return node
  }

  #class(): Matches {
    const isNegated = this.#take('^')
    const members: Matches[] = []
    for (let isFirst = true; isFirst || this.#peek() !== ']'; isFirst = false) {
      const low = this.#member()
      if (typeof low !== 'number' || this.#peek() !== '-' || this.#text[this.#at + 1] === ']') {
        members.push(typeof low === 'number' ? equals(low) : low)
        continue
      }
      this.#next()
      const high = this.#member()
      if (typeof high !== 'number' || high < low) throw new PatternError('a wrong range in a class')
      members.push((unit) => unit >= low && unit <= high)
    }
    this.#next()
    return (unit) => members.some((matches) => matches(unit)) !== isNegated
  }

  #member(): number | Matches {
    const character = this.#next()
    return character === '\\' ? this.#escaped() : character.charCodeAt(0)
  }

  #escape(): Matches {
    const escaped = this.#escaped()
    return typeof escaped === 'number' ? equals(escaped) : escaped
  }

  #escaped(): number | Matches {
    const character = this.#next()
    const set = SETS.get(character.toLowerCase())
    if (set !== undefined) return character === character.toLowerCase() ? set : (unit) => !set(unit)
    const control = CONTROLS.get(character)
    if (control !== undefined) return control
    if (/[A-Za-z0-9]/.test(character)) throw new PatternError(`\\${character} is not supported`)
    return character.charCodeAt(0)
  }

  #peek(): string | undefined {
    return this.#text[this.#at]
  }

  #next(): string {
    const character = this.#text[this.#at]
    if (character === undefined) throw new PatternError('the pattern ends too early')
    this.#at++
    return character
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false
    this.#at++
    return true
  }
}

function equals(wanted: number): Matches {
  return (unit) => unit === wanted
}

const isDigit: Matches = (unit) => unit >= 48 && unit <= 57
const isWord: Matches = (unit) =>
  isDigit(unit) || (unit >= 65 && unit <= 90) || (unit >= 97 && unit <= 122) || unit === 95
const isSpace: Matches = (unit) => unit === 32 || (unit >= 9 && unit <= 13 && unit !== 11)
const SETS: ReadonlyMap<string, Matches> = new Map([
  ['d', isDigit],
  ['w', isWord],
  ['s', isSpace],
])
const CONTROLS: ReadonlyMap<string, number> = new Map([
  ['t', 9],
  ['n', 10],
  ['v', 11],
  ['f', 12],
  ['r', 13],
])
