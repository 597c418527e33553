exports.up = (pgm) => {
  pgm.createTable('orders', {
    id: 'id',
    user_id: { type: 'integer', notNull: true, references: 'users', onDelete: 'CASCADE' },
    amount: { type: 'integer' },
  });
  pgm.createIndex('orders', 'user_id');
};
