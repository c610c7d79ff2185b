/** At most so many problems are told of one kind: thousands of lost records are one fault. */
const toldOfAKind = 5

/** What a check finds wrong, by kinds. */
export class Problems {
  readonly #byKind = new Map<string, string[]>()

  add(kind: string, text: string): void {
    const texts = this.#byKind.get(kind)
    if (texts) texts.push(text)
    else this.#byKind.set(kind, [text])
  }

  list(): string[] {
    return [...this.#byKind].flatMap(([kind, texts]) => {
      const told = texts.slice(0, toldOfAKind).map((text) => `${kind}: ${text}`)
      return texts.length > toldOfAKind ? [...told, `${kind}: ${texts.length} in all`] : told
    })
  }
}
