/**
 * The text with control characters (of both sets, escape sequences among them) and invisible ones (direction marks) written as `\u001b`:
 * names of groups and clients and contents of files come from strangers, and a terminal obeys what it is shown.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16)
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`
  })
}
