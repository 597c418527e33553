exports.up = (pgm) => {
  pgm.addColumns('users', { nickname: { type: 'text' } });
};
