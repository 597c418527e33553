// The rows that every client writes in its ordinary work, and how many of them are left at the end of it:
// 2,000 in bulk, one upserted over, one upserted anew, ten deleted one by one.
export const PEOPLE = 2000;
export const LEAVING = Array.from({ length: 10 }, (_, n) => n + 11);
export const NEWCOMER = PEOPLE + 1;

export const person = (id) => ({
  id,
  name: `person ${id}`,
  email: `person${id}@example.com`,
});

export const people = () => Array.from({ length: PEOPLE }, (_, n) => person(n + 1));

export const orders = () => [1, 2, 3].map((id) => ({ id, userId: id, amount: 10 * id }));

// What a client reads back must be what it wrote.
export function expect(what, found, expected) {
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
  }
}
